//! Bounds of the server's memory: it depends on the number of connections, not on the size of
//! images, and idle connections use little.
//!
//! A debug build hashes uploads so slowly that the large image is smaller there; the figures
//! of the README come from a release build. `GLANCE_LIMITS_IMAGE_MIB` sets the size.

use std::io::Read;
use std::time::{Duration, Instant};

use crate::support::http::{Connection, Request};
use crate::support::process::{allow_fds, peak_rss_bytes, rss_bytes};
use crate::support::server::{Server, Setup};
use crate::support::v1::{RAW, UPLOAD, image_path};
use crate::support::{PATIENCE, skip, within};

const PUBLIC: (&str, &str) = ("x-image-meta-is_public", "True");
const READERS: usize = 500;
const MIB: u64 = 1 << 20;
/// Largest resident memory of a server with this many readers.
const MOST_RSS: u64 = 96 * MIB;
const SMALL_IMAGE: u64 = 64 * MIB;

fn large_image() -> u64 {
    let default = if cfg!(debug_assertions) { 256 } else { 4096 };
    let given = std::env::var("GLANCE_LIMITS_IMAGE_MIB").ok();
    let mib = given.map_or(default, |mib| mib.parse().expect("a number of MiB"));
    mib * MIB
}

/// Uploads zeros, so that the test needs no memory for the data.
fn upload_zeros(node: &Server, size: u64) -> String {
    let id = uuid::Uuid::new_v4().to_string();
    let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}");
    let mut wire = node.connect();
    let request = Request::post("/v1/images").lines(&headers);
    wire.send_head(&request.announce(size)).expect("sent");
    let zeros = vec![0; MIB as usize];
    for _ in 0..size / MIB {
        wire.send_bytes(&zeros).expect("sent");
    }
    let limit = Some(Duration::from_secs(120));
    wire.stream().set_read_timeout(limit).expect("a limit");
    let answer = wire.read_response("POST").expect("an answer");
    assert_eq!(answer.status, 201, "{}", answer.text());
    id
}

/// Starts a download and reads a little of it.
fn slow_reader(node: &Server, id: &str) -> Connection {
    let mut wire = node.connect();
    wire.send(&Request::get(&image_path(id))).expect("sent");
    let answer = wire.read_head().expect("an answer");
    assert_eq!(answer.status, 200);
    wire
}

/// Returns the peak resident memory while all readers read a little, stall, and read again.
fn peak_rss(node: &Server, id: &str) -> u64 {
    let mut readers: Vec<Connection> = (0..READERS).map(|_| slow_reader(node, id)).collect();
    let mut peak = 0;
    let mut piece = vec![0; 256 * 1024];
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        for reader in &mut readers {
            let count = reader.stream().read(&mut piece).expect("data");
            assert!(count > 0, "a download ended early");
        }
        peak = peak.max(rss_bytes(node.pid()).expect("running"));
        std::thread::sleep(Duration::from_millis(200));
    }
    let metrics = node.metrics();
    let under_way = format!("glance_image_transfers_in_flight{{direction=\"download\"}} {READERS}");
    assert!(
        metrics.contains(&under_way),
        "all at the same time: {metrics}"
    );
    peak
}

fn measure(size: u64) -> u64 {
    let mut node = Setup::new().start();
    let id = upload_zeros(&node, size);
    let peak = peak_rss(&node, &id);
    eprintln!(
        "{READERS} readers of {} MiB: {} KiB RSS",
        size / MIB,
        peak / 1024
    );
    within(PATIENCE, "the readers disconnect", || {
        node.metrics()
            .contains("transfers_in_flight{direction=\"download\"} 0")
    });
    assert!(node.is_running());
    peak
}

#[test]
fn memory_does_not_grow_with_image_size() {
    // The resident part of the program itself differs between starts. Memory for images would be
    // used in every run.
    let differences = (0..3).map(|_| {
        let (small, large) = (measure(SMALL_IMAGE), measure(large_image()));
        assert!(large < MOST_RSS, "{large} bytes");
        small.abs_diff(large) as f64 / small.max(large) as f64
    });
    let mut seen = differences.inspect(|difference| eprintln!("they differ by {difference}"));
    assert!(seen.any(|difference| difference < 0.05));
}

const UPLOADS: usize = 120;
const UPLOAD_BYTES: u64 = 3 * MIB;
/// Memory of all uploads together (`upload_memory`), and additional memory of each.
const UPLOAD_MEMORY: u64 = 48 * MIB;
const MEMORY_OF_AN_UPLOAD: u64 = 320 * 1024;
/// Memory that connections, their tasks and the allocator add.
const SLACK: u64 = 64 * MIB;

#[test]
fn uploads_stay_within_upload_memory_and_release_it() {
    let node = Setup::new()
        .option("upload_memory", UPLOAD_MEMORY)
        .option("client_socket_timeout", 600)
        .start();
    upload_zeros(&node, UPLOAD_BYTES);
    let before = rss_bytes(node.pid()).expect("running");
    std::thread::scope(|scope| {
        for _ in 0..UPLOADS {
            scope.spawn(|| upload_zeros(&node, UPLOAD_BYTES));
        }
    });
    let peak = peak_rss_bytes(node.pid()).expect("running") - before;
    let most = UPLOAD_MEMORY + UPLOADS as u64 * MEMORY_OF_AN_UPLOAD + SLACK;
    eprintln!("{UPLOADS} uploads: {} of {} MiB", peak / MIB, most / MIB);
    assert!(peak < most, "{} MiB", peak / MIB);
    within(PATIENCE, "the memory is given back", || {
        let kept = rss_bytes(node.pid())
            .expect("running")
            .saturating_sub(before);
        kept < SLACK / 2
    });
}

const LISTED: usize = 200;
const LIST_READERS: usize = 40;
/// A property of a listed image, which has three.
const PROPERTY_BYTES: usize = 14_000;
/// Largest memory of a list for a client that reads nothing.
const MEMORY_OF_A_READER: u64 = MIB;
/// Longest response time of a small request meanwhile, for a debug build on a busy machine. A
/// worker that renders all of these lists at once takes much longer.
const SOON: Duration = Duration::from_secs(15);

/// 8 MiB of JSON.
const LONG_LIST: &str = "/v1/images/detail?limit=1000&sort_key=id&sort_dir=asc";

#[test]
fn long_lists_are_rendered_as_the_client_reads() {
    let node = Setup::new()
        .option("workers", 1)
        .option("client_socket_timeout", 600)
        .start();
    let value = "v".repeat(PROPERTY_BYTES) + "\"";
    let properties: Vec<(String, &str)> = (0..3)
        .map(|number| (format!("x-image-meta-property-p{number}"), value.as_str()))
        .collect();
    let properties: Vec<_> = properties.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let ids: Vec<String> = (0..LISTED)
        .map(|_| node.create(&[RAW, &properties[..], &[PUBLIC]].concat()))
        .collect();
    let before = rss_bytes(node.pid()).expect("running");
    let mut readers: Vec<Connection> = (0..LIST_READERS).map(|_| node.connect()).collect();
    for reader in &mut readers {
        reader.send(&Request::get(LONG_LIST)).expect("sent");
    }
    for _ in 0..20 {
        let began = Instant::now();
        node.head(&ids[0]).expect(200);
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    let grown = rss_bytes(node.pid())
        .expect("running")
        .saturating_sub(before);
    eprintln!("{LIST_READERS} readers of a long list: {} MiB", grown / MIB);
    assert!(
        grown < LIST_READERS as u64 * MEMORY_OF_A_READER,
        "{} MiB",
        grown / MIB
    );

    // The long list has the same bytes as the entries of short pages.
    let mut sorted = ids.clone();
    sorted.sort();
    let entry = |id: &String| {
        let page = node.request(&Request::get(&format!("/v1/images/detail?id={id}")));
        assert!(page.header("content-length").is_some());
        let text = page.expect(200).text().to_owned();
        let inside = text.strip_prefix("{\"images\":[");
        inside
            .and_then(|text| text.strip_suffix("]}"))
            .expect("a list")
            .to_owned()
    };
    let entries: Vec<String> = sorted.iter().map(entry).collect();
    let wanted = format!("{{\"images\":[{}]}}", entries.join(","));
    for reader in &mut readers[..3] {
        let list = reader.read_response("GET").expect("a list");
        assert_eq!(list.status, 200);
        assert!(list.text() == wanted);
    }
    // HTTP/1.0 has no chunked encoding.
    let mut old = node.connect();
    let request = format!("GET {LONG_LIST} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    old.send_bytes(request.as_bytes()).expect("sent");
    let answer = old.read_to_end().expect("an answer");
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(
        !head.to_ascii_lowercase().contains("transfer-encoding"),
        "{head}"
    );
    assert!(body == wanted);
}

/// More connections than the server treats as a small number.
const CONNECTIONS: usize = 2_500;
/// Largest memory of an idle connection. An active one has more.
const MOST_RESTING_BYTES: u64 = 8 * 1024;

#[test]
fn idle_connections_keep_little_memory() {
    if let Err(error) = allow_fds(CONNECTIONS as u64 + 500) {
        return skip("that many connections", &error.to_string());
    }
    let node = Setup::new().start();
    let rss = || rss_bytes(node.pid()).expect("running");
    let before = rss();
    let mut connections: Vec<Connection> = (0..CONNECTIONS).map(|_| node.connect()).collect();
    let each = || rss().saturating_sub(before) / CONNECTIONS as u64;
    // All at the same time: no request is answered before the last one has begun.
    for connection in &mut connections {
        let begun = connection.send_bytes(b"GET /v1/images HTTP/1.1\r\n");
        begun.expect("sent");
    }
    within(PATIENCE, "all of them are being served", || {
        each() > MOST_RESTING_BYTES
    });
    eprintln!("{CONNECTIONS} connections, active: {} bytes each", each());
    for connection in &mut connections {
        connection
            .send_bytes(b"Host: localhost\r\n\r\n")
            .expect("sent");
        let answer = connection.read_response("GET").expect("an answer");
        answer.expect(200);
    }
    within(PATIENCE, "the memory is given back", || {
        each() <= MOST_RESTING_BYTES
    });
    eprintln!("{CONNECTIONS} connections, idle: {} bytes each", each());
    for connection in &mut connections {
        connection.request(&Request::get("/v1/images")).expect(200);
    }
}
