//! Reload under load: 2,000 requests a second, 50 downloads and some uploads in flight, and
//! not one that fails.
//!
//! `GLANCE_RELOAD_ROUNDS=20 cargo test --test node reload::load -- --nocapture` for more than
//! the few rounds of every day.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::LIMIT;
use crate::support::http::{Connection, LAST_CHUNK, Request, chunk_bytes};
use crate::support::pattern;
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, image_path, post};

const ROUNDS: u32 = 3;
/// Between two reloads.
const PAUSE: Duration = Duration::from_millis(700);
const REQUESTS_PER_S: u32 = 2_000;
const ASKERS: u32 = 8;
const DOWNLOADS: usize = 50;
const UPLOADS: usize = 4;
/// Large enough that each is in flight over a reload, at the pace it is read.
const IMAGE_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 64 << 10;

/// What all clients have seen.
struct Seen {
    address: SocketAddr,
    id: String,
    data: Vec<u8>,
    over: AtomicBool,
    requests: AtomicU64,
    downloads: AtomicU64,
    uploads: AtomicU64,
    in_flight: AtomicU64,
    longest_us: AtomicU64,
    failures: Mutex<Vec<String>>,
}

impl Seen {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn fail(&self, what: &str, why: impl ToString) {
        let failure = format!("{what}: {}", why.to_string());
        self.failures.lock().unwrap().push(failure);
    }
}

/// A connection that is kept until an answer says that it is closed.
fn kept(seen: &Seen, connection: Option<Connection>) -> Result<Connection, String> {
    match connection {
        Some(connection) => Ok(connection),
        None => Connection::open(seen.address).map_err(|error| format!("connect: {error}")),
    }
}

fn ask(
    seen: &Seen,
    connection: Option<Connection>,
    request: &Request,
) -> Result<Option<Connection>, String> {
    let mut connection = kept(seen, connection)?;
    let answer = connection
        .exchange(request)
        .map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    let closes = answer.header("connection") == Some("close");
    Ok((!closes).then_some(connection))
}

/// Asks at its pace, in turn on a kept connection and on one of its own.
fn asker(seen: &Seen, number: u32) {
    let every = Duration::from_secs(1) * ASKERS / REQUESTS_PER_S;
    let requests = [
        Request::head(&image_path(&seen.id)),
        Request::get("/v1/images?limit=5"),
        Request::head(&image_path(&seen.id)),
        Request::put(&image_path(&seen.id))
            .header("x-image-meta-name", "renamed")
            .header("x-glance-registry-purge-props", "false"),
    ];
    let mut connection = None;
    let mut next = Instant::now() + every * number / ASKERS;
    for turn in 0_usize.. {
        if !seen.goes_on() {
            return;
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += every;
        // One in fifty writes, one in ten has a connection of its own.
        let request = &requests[if turn % 50 == 49 { 3 } else { turn % 3 }];
        let began = Instant::now();
        let result = if turn % 10 == 9 {
            ask(seen, None, request).map(drop)
        } else {
            ask(seen, connection.take(), request).map(|kept| connection = kept)
        };
        let took_us = began.elapsed().as_micros() as u64;
        seen.longest_us.fetch_max(took_us, Ordering::Relaxed);
        seen.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result {
            seen.fail(&format!("request {turn}"), error);
        }
    }
}

/// Downloads piece by piece, about a second each.
fn downloader(seen: &Seen) {
    let mut connection = None;
    while seen.goes_on() {
        match download(seen, connection.take()) {
            Ok(kept) => connection = kept,
            Err(error) => seen.fail("download", error),
        }
        seen.downloads.fetch_add(1, Ordering::Relaxed);
    }
}

fn download(seen: &Seen, connection: Option<Connection>) -> Result<Option<Connection>, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut connection = kept(seen, connection)?;
    connection
        .send(&Request::get(&image_path(&seen.id)))
        .map_err(said)?;
    let head = connection.read_head().map_err(said)?;
    if head.status != 200 {
        return Err(format!("status {}", head.status));
    }
    seen.in_flight.fetch_add(1, Ordering::Relaxed);
    let mut pieces = seen.data.chunks(PIECE_BYTES);
    let got = pieces.try_for_each(|piece| {
        let got = connection.read_bytes(piece.len()).map_err(said)?;
        thread::sleep(Duration::from_millis(15));
        if got == piece {
            Ok(())
        } else {
            Err("other bytes".to_owned())
        }
    });
    seen.in_flight.fetch_sub(1, Ordering::Relaxed);
    got?;
    let closes = head.header("connection") == Some("close");
    Ok((!closes).then_some(connection))
}

/// Uploads that take longer than the time between two reloads.
fn uploader(seen: &Seen) {
    while seen.goes_on() {
        if let Err(error) = upload(seen) {
            seen.fail("upload", error);
        }
        seen.uploads.fetch_add(1, Ordering::Relaxed);
    }
}

fn upload(seen: &Seen) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut connection = Connection::open(seen.address).map_err(said)?;
    let head = post(RAW)
        .headers(&[OCTETS])
        .header("Transfer-Encoding", "chunked");
    connection.send_head(&head).map_err(said)?;
    for piece in seen.data[..16 * PIECE_BYTES].chunks(PIECE_BYTES) {
        connection.send_bytes(&chunk_bytes(piece)).map_err(said)?;
        thread::sleep(Duration::from_millis(60));
    }
    connection.send_bytes(LAST_CHUNK).map_err(said)?;
    match connection.read_response("POST").map_err(said)? {
        answer if answer.status == 201 => Ok(()),
        answer => Err(format!("status {} {}", answer.status, answer.text())),
    }
}

/// Reloads in the midst of all that. The processes that were replaced end by themselves.
fn reload_again_and_again(server: &mut Server, seen: &Seen, rounds: u32) {
    let deadline = Instant::now() + LIMIT;
    while seen.in_flight.load(Ordering::Relaxed) < DOWNLOADS as u64 {
        assert!(Instant::now() < deadline, "the load has not begun");
        thread::sleep(Duration::from_millis(5));
    }
    for round in 1..=rounds {
        thread::sleep(PAUSE);
        let in_flight = seen.in_flight.load(Ordering::Relaxed);
        seen.longest_us.store(0, Ordering::Relaxed);
        server.reload();
        thread::sleep(PAUSE);
        eprintln!(
            "reload {round}: {in_flight} downloads in flight, slowest request {} ms, {} failures",
            seen.longest_us.load(Ordering::Relaxed) / 1000,
            seen.failures.lock().unwrap().len()
        );
    }
}

#[test]
fn nothing_fails() {
    let rounds = std::env::var("GLANCE_RELOAD_ROUNDS").map_or(ROUNDS, |rounds| {
        rounds.parse().expect("GLANCE_RELOAD_ROUNDS is a number")
    });
    let mut server = Setup::new().with_pid_file().start();
    let data = pattern(IMAGE_BYTES, 1);
    let seen = Seen {
        address: server.address(),
        id: server.upload(&[("x-image-meta-is_public", "True")], &data),
        data,
        over: AtomicBool::new(false),
        requests: AtomicU64::new(0),
        downloads: AtomicU64::new(0),
        uploads: AtomicU64::new(0),
        in_flight: AtomicU64::new(0),
        longest_us: AtomicU64::new(0),
        failures: Mutex::default(),
    };
    let began = Instant::now();
    thread::scope(|scope| {
        let seen = &seen;
        for number in 0..ASKERS {
            scope.spawn(move || asker(seen, number));
        }
        for _ in 0..DOWNLOADS {
            scope.spawn(move || downloader(seen));
        }
        for _ in 0..UPLOADS {
            scope.spawn(move || uploader(seen));
        }
        let over = Over(seen);
        reload_again_and_again(&mut server, seen, rounds);
        drop(over);
    });
    let requests = seen.requests.load(Ordering::Relaxed);
    eprintln!(
        "{rounds} reloads in {:.1} s: {requests} requests ({:.0}/s), {} downloads, {} uploads",
        began.elapsed().as_secs_f64(),
        requests as f64 / began.elapsed().as_secs_f64(),
        seen.downloads.load(Ordering::Relaxed),
        seen.uploads.load(Ordering::Relaxed),
    );
    let failures = seen.failures.lock().unwrap();
    assert!(
        failures.is_empty(),
        "{} failed: {failures:#?}",
        failures.len()
    );
    server.await_retired(LIMIT);
    assert_eq!(server.status_of(&seen.id), "active");
}

/// Ends the load, also when the test fails.
struct Over<'a>(&'a Seen);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}
