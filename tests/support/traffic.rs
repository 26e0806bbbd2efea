//! Generates traffic of which no request may fail: small requests at a constant rate, and slow
//! downloads and uploads.
//!
//! ```text
//! let traffic = Traffic::at(&server);
//! traffic.during(&LOAD, || server.reload());
//! traffic.expect_no_failure();
//! ```

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::http::{Connection, LAST_CHUNK, Request, chunk_bytes};
use super::server::Server;
use super::v1::{OCTETS, RAW, image_path, post};
use super::{pattern, within};

/// Size of a download, large enough that it is running during a reload at the rate of its reader.
const IMAGE_BYTES: usize = 4 << 20;
const PIECE_BYTES: usize = 64 << 10;

/// Longest time until every download is running.
const LIMIT: Duration = Duration::from_secs(60);

/// The amount of traffic.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub requests_per_s: u32,
    /// Threads that send these requests, each one after the other.
    pub askers: u32,
    pub downloads: usize,
    pub uploads: usize,
}

/// The clients of a server, and their results.
pub struct Traffic {
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

impl Traffic {
    /// Prepares traffic for a server, with an image for it.
    pub fn at(server: &Server) -> Self {
        let data = pattern(IMAGE_BYTES, 1);
        Self {
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
        }
    }

    /// Runs `act` once all downloads are running, and stops the traffic afterwards.
    pub fn during<T>(&self, load: &Load, act: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let done = thread::scope(|scope| {
            for number in 0..load.askers {
                scope.spawn(move || asker(self, load, number));
            }
            for _ in 0..load.downloads {
                scope.spawn(|| downloader(self));
            }
            for _ in 0..load.uploads {
                scope.spawn(|| uploader(self));
            }
            // Stops the traffic also if the test fails.
            let _over = Over(self);
            within(LIMIT, "all downloads are under way", || {
                self.in_flight() >= load.downloads as u64
            });
            act()
        });
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let took_s = began.elapsed().as_secs_f64();
        let requests = count(&self.requests);
        eprintln!(
            "{took_s:.1} s: {requests} requests ({:.0}/s), {} downloads, {} uploads, {} failures",
            requests as f64 / took_s,
            count(&self.downloads),
            count(&self.uploads),
            self.failures.lock().expect("no panic").len(),
        );
        done
    }

    /// Returns the image of the traffic.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Returns the number of running downloads.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns the duration of the slowest small request since the last call.
    pub fn take_longest(&self) -> Duration {
        Duration::from_micros(self.longest_us.swap(0, Ordering::Relaxed))
    }

    /// # Panics
    /// Panics if any request failed.
    #[track_caller]
    pub fn expect_no_failure(&self) {
        let failures = self.failures.lock().expect("no panic");
        let few: Vec<_> = failures.iter().take(20).collect();
        assert!(failures.is_empty(), "{} failed: {few:#?}", failures.len());
    }

    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    fn fail(&self, what: &str, why: impl ToString) {
        let failure = format!("{what}: {}", why.to_string());
        self.failures.lock().expect("no panic").push(failure);
    }
}

/// Stops the traffic when it is dropped.
struct Over<'a>(&'a Traffic);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// A connection that is kept until a response announces its end.
fn kept(traffic: &Traffic, connection: Option<Connection>) -> Result<Connection, String> {
    match connection {
        Some(connection) => Ok(connection),
        None => Connection::open(traffic.address).map_err(|error| format!("connect: {error}")),
    }
}

fn ask(
    traffic: &Traffic,
    connection: Option<Connection>,
    request: &Request,
) -> Result<Option<Connection>, String> {
    let mut connection = kept(traffic, connection)?;
    let answer = connection
        .exchange(request)
        .map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("status {}", answer.status));
    }
    let closes = answer.header("connection") == Some("close");
    Ok((!closes).then_some(connection))
}

/// Sends requests at a constant rate, on a kept connection and on new ones.
fn asker(traffic: &Traffic, load: &Load, number: u32) {
    let every = Duration::from_secs(1) * load.askers / load.requests_per_s;
    let requests = [
        Request::head(&image_path(&traffic.id)),
        Request::get("/v1/images?limit=5"),
        Request::head(&image_path(&traffic.id)),
        Request::put(&image_path(&traffic.id))
            .header("x-image-meta-name", "renamed")
            .header("x-glance-registry-purge-props", "false"),
    ];
    let mut connection = None;
    let mut next = Instant::now() + every * number / load.askers;
    for turn in 0_usize.. {
        if !traffic.goes_on() {
            return;
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
        next += every;
        // One request in fifty writes; one in ten uses a new connection.
        let request = &requests[if turn % 50 == 49 { 3 } else { turn % 3 }];
        let began = Instant::now();
        let result = if turn % 10 == 9 {
            ask(traffic, None, request).map(drop)
        } else {
            ask(traffic, connection.take(), request).map(|kept| connection = kept)
        };
        let took_us = began.elapsed().as_micros() as u64;
        traffic.longest_us.fetch_max(took_us, Ordering::Relaxed);
        traffic.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = result {
            traffic.fail(&format!("request {turn}"), error);
        }
    }
}

/// Downloads piece by piece, a second for each.
fn downloader(traffic: &Traffic) {
    let mut connection = None;
    while traffic.goes_on() {
        match download(traffic, connection.take()) {
            Ok(kept) => connection = kept,
            Err(error) => traffic.fail("download", error),
        }
        traffic.downloads.fetch_add(1, Ordering::Relaxed);
    }
}

fn download(
    traffic: &Traffic,
    connection: Option<Connection>,
) -> Result<Option<Connection>, String> {
    let said = |error: std::io::Error| error.to_string();
    let mut connection = kept(traffic, connection)?;
    connection
        .send(&Request::get(&image_path(&traffic.id)))
        .map_err(said)?;
    let head = connection.read_head().map_err(said)?;
    if head.status != 200 {
        return Err(format!("status {}", head.status));
    }
    traffic.in_flight.fetch_add(1, Ordering::Relaxed);
    let mut pieces = traffic.data.chunks(PIECE_BYTES);
    let got = pieces.try_for_each(|piece| {
        let got = connection.read_bytes(piece.len()).map_err(said)?;
        thread::sleep(Duration::from_millis(15));
        if got == piece {
            Ok(())
        } else {
            Err("other bytes".to_owned())
        }
    });
    traffic.in_flight.fetch_sub(1, Ordering::Relaxed);
    got?;
    let closes = head.header("connection") == Some("close");
    Ok((!closes).then_some(connection))
}

/// Uploads for longer than the time between two reloads.
fn uploader(traffic: &Traffic) {
    while traffic.goes_on() {
        if let Err(error) = upload(traffic) {
            traffic.fail("upload", error);
        }
        traffic.uploads.fetch_add(1, Ordering::Relaxed);
    }
}

fn upload(traffic: &Traffic) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut connection = Connection::open(traffic.address).map_err(said)?;
    let head = post(RAW)
        .headers(&[OCTETS])
        .header("Transfer-Encoding", "chunked");
    connection.send_head(&head).map_err(said)?;
    for piece in traffic.data[..16 * PIECE_BYTES].chunks(PIECE_BYTES) {
        connection.send_bytes(&chunk_bytes(piece)).map_err(said)?;
        thread::sleep(Duration::from_millis(60));
    }
    connection.send_bytes(LAST_CHUNK).map_err(said)?;
    match connection.read_response("POST").map_err(said)? {
        answer if answer.status == 201 => Ok(()),
        answer => Err(format!("status {} {}", answer.status, answer.text())),
    }
}
