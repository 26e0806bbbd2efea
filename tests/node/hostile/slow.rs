//! Slow clients, which try to exhaust connections, threads or memory (slowloris).

use std::io::Read;
use std::time::{Duration, Instant};

use super::{assert_alive, assert_killed, assert_only};
use crate::support::bytes::Chance;
use crate::support::http::{Connection, Request};
use crate::support::process::{assert_idle, open_fds};
use crate::support::server::{Server, Setup};
use crate::support::v1::{UPLOAD, image_path};
use crate::support::{PATIENCE, within};

/// `client_socket_timeout` of these tests.
const STALL: Duration = Duration::from_secs(2);
/// Longest life of an attacker's connection, on a busy machine.
const CUT_OFF: Duration = Duration::from_secs(20);
/// Longest response time of a well-behaved client meanwhile.
const PROMPT: Duration = Duration::from_secs(1);
const ATTACKERS: usize = 150;

fn slow_node() -> Server {
    Setup::new()
        .option("client_socket_timeout", STALL.as_secs())
        .start()
}

fn attackers(node: &Server, mut first: impl FnMut(&mut Connection)) -> Vec<Connection> {
    let mut wires = Vec::new();
    for _ in 0..ATTACKERS {
        let mut wire = node.connect();
        first(&mut wire);
        wires.push(wire);
    }
    wires
}

/// Asserts that a well-behaved client is served promptly during the attack. The best of several
/// attempts counts, because a single one may be delayed by other load on the machine.
fn assert_prompt(node: &Server, id: &str) {
    let times = (0..5).map(|_| {
        let began = Instant::now();
        assert_eq!(node.ask("GET", "/v1/images", "", b"").status, 200);
        assert_eq!(node.download(id).status, 200);
        began.elapsed()
    });
    let best = times.min().expect("some");
    assert!(best < PROMPT, "took {best:?} at best");
}

/// Asserts that every connection is closed although its client keeps sending. Returns the bytes
/// that each received.
fn assert_cut_off(wires: Vec<Connection>, drip: &[u8]) -> Vec<Vec<u8>> {
    let began = Instant::now();
    let ends = |mut wire: Connection| {
        loop {
            // A failed write shows in the next read.
            let _ = wire.send_bytes(drip);
            match wire.until_closed(Duration::from_millis(300)) {
                Ok(sent) => return sent,
                Err(_) => assert!(began.elapsed() < CUT_OFF, "still open"),
            }
        }
    };
    std::thread::scope(|scope| {
        let wires: Vec<_> = wires
            .into_iter()
            .map(|wire| scope.spawn(|| ends(wire)))
            .collect();
        wires
            .into_iter()
            .map(|wire| wire.join().expect("cut off"))
            .collect()
    })
}

#[test]
fn endless_heads_are_cut_off() {
    let mut node = slow_node();
    let id = node.upload(&[], b"abc");
    let silent = attackers(&node, |_| {});
    let mut dripping = attackers(&node, |wire| {
        wire.send_bytes(b"GET / HTTP/1.1\r\nX: ").expect("sent")
    });
    assert_prompt(&node, &id);
    dripping.extend(silent);
    assert_cut_off(dripping, b"y");
    assert_alive(&mut node);
}

#[test]
fn idle_connections_are_closed() {
    let node = slow_node();
    let mut wire = node.connect();
    wire.ask("GET", "/v1/images", "", b"").expect("an answer");
    wire.until_closed(CUT_OFF).expect("closed");
}

#[test]
fn stalled_bodies_are_cut_off() {
    let mut node = slow_node();
    let id = node.upload(&[], b"abc");
    let mut chance = Chance::new(10);
    let mut ids = Vec::new();
    let wires = attackers(&node, |wire| {
        let image = chance.uuid();
        let headers = format!("{UPLOAD}\r\nx-image-meta-id: {image}");
        ids.push(image);
        let request = Request::post("/v1/images").lines(&headers);
        wire.send_head(&request.announce(1 << 22)).expect("sent");
        wire.send_bytes(&[0; 1000]).expect("sent");
    });
    assert_prompt(&node, &id);
    for sent in assert_cut_off(wires, b"") {
        let text = String::from_utf8_lossy(&sent).into_owned();
        assert!(text.starts_with("HTTP/1.1 408"), "{text:?}");
    }
    for image in &ids {
        assert_killed(&node, image);
    }
    assert_only(&node, &[&id]);
    assert_alive(&mut node);
}

/// Single bytes with pauses are progress, but below the minimum rate.
#[test]
fn slow_bodies_are_cut_off() {
    let node = slow_node();
    let id = Chance::new(11).uuid();
    let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}");
    let mut wire = node.connect();
    let request = Request::post("/v1/images").lines(&headers);
    wire.send_head(&request.announce(1 << 20)).expect("sent");
    let began = Instant::now();
    let sent = loop {
        let _ = wire.send_bytes(b"x");
        match wire.until_closed(Duration::from_millis(500)) {
            Ok(sent) => break sent,
            Err(_) => assert!(began.elapsed() < Duration::from_secs(50), "still open"),
        }
    };
    assert!(
        sent.starts_with(b"HTTP/1.1 408"),
        "{}",
        String::from_utf8_lossy(&sent)
    );
    assert_killed(&node, &id);
    assert_only(&node, &[]);
}

#[test]
fn stalled_readers_are_cut_off() {
    let mut node = slow_node();
    let id = node.upload(&[], &Chance::new(12).bytes(24 << 20));
    let small = node.upload(&[], b"abc");
    let before = open_fds(node.pid());
    let get = Request::get(&image_path(&id));
    let wires = attackers(&node, |wire| wire.send(&get).expect("sent"));
    within(PATIENCE, "the downloads have begun", || {
        open_fds(node.pid()) >= before + ATTACKERS
    });
    assert_prompt(&node, &small);
    let began = Instant::now();
    within(CUT_OFF, "their connections and files are closed", || {
        open_fds(node.pid()) <= before + 2
    });
    eprintln!(
        "{ATTACKERS} readers that read nothing: closed after {:?}",
        began.elapsed()
    );
    drop(wires);
    assert_alive(&mut node);
}

/// A connection that waits for a writable socket delays no other and uses no processor time.
#[test]
fn stalled_readers_use_no_processor_time() {
    let node = Setup::new().start();
    let id = node.upload(&[], &Chance::new(16).bytes(24 << 20));
    let get = Request::get(&image_path(&id));
    let _wires = attackers(&node, |wire| wire.send(&get).expect("sent"));
    let under_way = format!("transfers_in_flight{{direction=\"download\"}} {ATTACKERS}");
    within(PATIENCE, "the downloads have begun", || {
        node.metrics().contains(&under_way)
    });
    // The server first fills their socket buffers.
    assert_idle(node.pid());
}

/// Reads at `rate` bytes per second until the end of the stream.
fn take(connection: &Connection, rate: u64) {
    let mut piece = vec![0; rate as usize / 10];
    let mut stream = connection.stream();
    while stream.read_exact(&mut piece).is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Reading some bytes with pauses is progress, but below the minimum rate. A client above the
/// minimum is not cut off.
#[test]
fn slow_readers_are_cut_off() {
    const LEAST: u64 = 100_000;
    let node = Setup::new()
        .option("verbose", true)
        .option("client_min_rate", LEAST)
        .start();
    let id = node.upload(&[], &Chance::new(15).bytes(32 << 20));
    let under_way = |count: usize| {
        let line = format!("transfers_in_flight{{direction=\"download\"}} {count}");
        node.metrics().contains(&line)
    };
    let began = Instant::now();
    for rate in [LEAST / 5, LEAST * 4] {
        let mut connection = node.connect();
        let request = Request::get(&image_path(&id));
        connection.send(&request).expect("sent");
        std::thread::spawn(move || take(&connection, rate));
    }
    within(PATIENCE, "both have begun", || under_way(2));
    within(Duration::from_secs(70), "one is cut", || under_way(1));
    assert!(began.elapsed() > Duration::from_secs(25), "cut too early");
    std::thread::sleep(Duration::from_secs(2));
    assert!(under_way(1), "the other one is cut too");
    node.expect_log("too slowly");
}
