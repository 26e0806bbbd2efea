//! Memory is bounded by the options, not by what is uploaded.
//!
//! A debug build hashes slowly, so images are smaller there; `GLANCE_LIMITS_IMAGE_MIB` sets
//! their size.

use std::time::Duration;

use super::sink::Sink;
use super::{Bucket, MIB};
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW};

const UPLOADS: usize = 64;

/// The most that a server with so many uploads may have in RAM.
const MOST_RSS: u64 = 256 * MIB;

fn image_mib() -> u64 {
    let default = if cfg!(debug_assertions) { 24 } else { 256 };
    let given = std::env::var("GLANCE_LIMITS_IMAGE_MIB").ok();
    given.map_or(default, |mib| mib.parse().expect("a number of MiB"))
}

/// Uploads zeros; the status of the answer.
fn upload_zeros(server: &Server, is_known: bool) -> u16 {
    let piece = vec![0; MIB as usize];
    let request = Request::post("/v1/images").headers(RAW).headers(&[OCTETS]);
    let request = match is_known {
        true => request.header("Content-Length", (image_mib() * MIB).to_string()),
        false => request.header("Transfer-Encoding", "chunked"),
    };
    let mut connection = server.connect();
    let limit = Some(Duration::from_secs(600));
    connection.stream().set_read_timeout(limit).expect("set");
    connection.stream().set_write_timeout(limit).expect("set");
    connection.send_head(&request).expect("sent");
    for _ in 0..image_mib() {
        if is_known {
            connection.send_bytes(&piece).expect("sent");
        } else {
            connection
                .send_bytes(format!("{MIB:x}\r\n").as_bytes())
                .expect("sent");
            connection.send_bytes(&piece).expect("sent");
            connection.send_bytes(b"\r\n").expect("sent");
        }
    }
    if !is_known {
        connection.send_bytes(b"0\r\n\r\n").expect("sent");
    }
    connection.read_response("POST").expect("an answer").status
}

/// The most a process has had in RAM at any time.
fn peak_rss_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("running");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.expect("a number of kB") * 1024
}

fn measure(is_known: impl Fn(usize) -> bool + Sync) {
    // Slower than the clients, so that whatever may fill up does.
    let sink = Sink::start(Duration::from_millis(5));
    let bucket = Bucket::new("memory");
    let setup = bucket.node_at(&sink.url());
    let setup = setup
        .option_in("glance_store", "s3_store_large_object_size", 16)
        .option_in("glance_store", "s3_store_large_object_chunk_size", 8);
    let server = setup.start();
    std::thread::scope(|scope| {
        for number in 0..UPLOADS {
            let (server, is_known) = (&server, &is_known);
            scope.spawn(move || assert_eq!(upload_zeros(server, is_known(number)), 201));
        }
    });
    assert_eq!(sink.taken_bytes(), UPLOADS as u64 * image_mib() * MIB);
    let peak = peak_rss_bytes(server.pid());
    println!(
        "{UPLOADS} uploads of {} MiB: {} MiB RSS at most",
        image_mib(),
        peak / MIB
    );
    assert!(peak < MOST_RSS, "{} MiB", peak / MIB);
}

#[test]
fn many_uploads_of_known_length() {
    measure(|_| true);
}

#[test]
fn many_uploads_of_unknown_length() {
    measure(|_| false);
}
