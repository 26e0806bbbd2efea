//! Clients that take their time, to take everybody's.

use std::time::{Duration, Instant};

use super::{assert_alive, assert_killed, assert_only};
use crate::support::bytes::Chance;
use crate::support::node::{Node, Setup, UPLOAD};
use crate::support::process::open_fds;
use crate::support::wire::{Wire, head};
use crate::support::{PATIENCE, eventually};

/// `client_socket_timeout` of these tests.
const STALL: Duration = Duration::from_secs(2);
/// How long an attacker's connection may live on a busy machine.
const CUT_OFF: Duration = Duration::from_secs(8);
/// What a well-behaved client must get meanwhile.
const PROMPT: Duration = Duration::from_secs(1);
const ATTACKERS: usize = 150;

fn slow_node() -> Node {
    Setup::new().option("client_socket_timeout = 2").start()
}

fn attackers(node: &Node, mut first: impl FnMut(&mut Wire)) -> Vec<Wire> {
    let mut wires = Vec::new();
    for _ in 0..ATTACKERS {
        let mut wire = node.connect();
        first(&mut wire);
        wires.push(wire);
    }
    wires
}

/// A well-behaved client while the attack is on.
fn assert_prompt(node: &Node, id: &str) {
    let began = Instant::now();
    assert_eq!(node.request("GET", "/v1/images", "", b"").status, 200);
    assert_eq!(node.download(id).status, 200);
    assert!(began.elapsed() < PROMPT, "took {:?}", began.elapsed());
}

/// Every connection ends, though its client goes on dripping; returns what each was sent.
fn assert_cut_off(wires: Vec<Wire>, drip: &[u8]) -> Vec<Vec<u8>> {
    let began = Instant::now();
    let ends = |mut wire: Wire| {
        loop {
            // A refusal to take the drip is seen by the next look.
            let _ = wire.send(drip);
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
fn heads_that_never_end_are_cut_off() {
    let mut node = slow_node();
    let id = node.upload(b"abc");
    let silent = attackers(&node, |_| {});
    let mut dripping = attackers(&node, |wire| {
        wire.send(b"GET / HTTP/1.1\r\nX: ").expect("sent")
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
    wire.request("GET", "/v1/images", "", b"")
        .expect("an answer");
    wire.until_closed(CUT_OFF).expect("closed");
}

#[test]
fn bodies_that_never_end_are_cut_off() {
    let mut node = slow_node();
    let id = node.upload(b"abc");
    let mut chance = Chance::new(10);
    let mut ids = Vec::new();
    let wires = attackers(&node, |wire| {
        let image = chance.uuid();
        let headers = format!("{UPLOAD}\r\nx-image-meta-id: {image}");
        ids.push(image);
        let head = head("POST", "/v1/images", &headers, Some(1 << 22));
        wire.send(head.as_bytes()).expect("sent");
        wire.send(&[0; 1000]).expect("sent");
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

/// A byte now and then is progress, but not enough of it.
#[test]
fn bodies_that_drip_are_cut_off() {
    let node = slow_node();
    let id = Chance::new(11).uuid();
    let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}");
    let mut wire = node.connect();
    let head = head("POST", "/v1/images", &headers, Some(1 << 20));
    wire.send(head.as_bytes()).expect("sent");
    let began = Instant::now();
    let sent = loop {
        let _ = wire.send(b"x");
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
fn readers_that_do_not_read_are_cut_off() {
    let mut node = slow_node();
    let id = node.upload(&Chance::new(12).bytes(24 << 20));
    let small = node.upload(b"abc");
    let before = open_fds(node.pid());
    let get = head("GET", &format!("/v1/images/{id}"), "", None);
    let wires = attackers(&node, |wire| wire.send(get.as_bytes()).expect("sent"));
    eventually("the downloads have begun", PATIENCE, || {
        open_fds(node.pid()) >= before + ATTACKERS
    });
    assert_prompt(&node, &small);
    let began = Instant::now();
    eventually("their connections and files are closed", STALL * 5, || {
        open_fds(node.pid()) <= before + 2
    });
    eprintln!(
        "{ATTACKERS} readers that read nothing: closed after {:?}",
        began.elapsed()
    );
    drop(wires);
    assert_alive(&mut node);
}
