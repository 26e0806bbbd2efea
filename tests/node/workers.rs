//! Distribution of connections over the worker threads.

use std::time::{Duration, Instant};

use crate::support::http::{Connection, Request};
use crate::support::process::StoppedThread;
use crate::support::server::{Server, Setup};
use crate::support::v1::image_path;
use crate::support::{PATIENCE, pattern, skip, within};

const WORKERS: usize = 4;
const DOWNLOADS: usize = 64;
/// Larger than the socket buffers, so that a download lasts until its client reads it.
const IMAGE_BYTES: usize = 16 << 20;

/// Returns the number of connections of each worker, from the metrics.
fn connections(node: &Server) -> Vec<usize> {
    let metrics = node.metrics();
    let of = |worker| {
        let start = format!("glance_http_connections{{worker=\"{worker}\"}} ");
        let value = metrics.lines().find_map(|line| line.strip_prefix(&start));
        value.expect("a sample of each worker").parse().unwrap()
    };
    (0..WORKERS).map(of).collect()
}

fn begin_download(node: &Server, id: &str) -> Connection {
    let mut connection = node.connect();
    connection.send(&Request::get(&image_path(id))).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 200);
    connection
}

/// Asserts that every worker has its share of the downloads, within a quarter.
fn assert_even(node: &Server, downloads: usize) {
    let counts = connections(node);
    assert_eq!(counts.iter().sum::<usize>(), downloads, "{counts:?}");
    let even = downloads as f64 / WORKERS as f64;
    let is_even = |count: &usize| (*count as f64 - even).abs() <= even / 4.0;
    assert!(counts.iter().all(is_even), "{counts:?}");
}

#[test]
fn downloads_are_balanced_across_workers() {
    let node = Setup::new().option("workers", WORKERS).start();
    let id = node.upload(&[], &pattern(IMAGE_BYTES, 50));
    within(PATIENCE, "the upload's connection ends", || {
        connections(&node).iter().sum::<usize>() == 0
    });
    let mut downloads: Vec<Connection> =
        (0..DOWNLOADS).map(|_| begin_download(&node, &id)).collect();
    assert_even(&node, DOWNLOADS);
    // Also after some connections have ended, on any worker.
    downloads.drain(..DOWNLOADS / 4);
    within(PATIENCE, "they have ended", || {
        connections(&node).iter().sum::<usize>() == downloads.len()
    });
    downloads.extend((0..DOWNLOADS / 4).map(|_| begin_download(&node, &id)));
    assert_even(&node, DOWNLOADS);
}

/// The hardest case of a busy worker: one that is blocked.
#[test]
fn new_connections_avoid_blocked_worker() {
    let mut node = Setup::new().option("workers", WORKERS).start();
    let mut before: Vec<Connection> = (0..WORKERS * 2).map(|_| node.connect()).collect();
    let list = Request::get("/v1/images");
    for connection in &mut before {
        connection.request(&list).expect(200);
    }
    let busy = match StoppedThread::of(node.pid(), "worker-1") {
        Ok(busy) => busy,
        Err(error) => return skip("a busy worker", &format!("ptrace: {error}")),
    };
    let began = Instant::now();
    for _ in 0..40 {
        node.request(&list).expect(200);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "40 requests took {took:?}");
    drop(busy);
    // The worker continues its connections and gets new ones again.
    for connection in &mut before {
        connection.request(&list).expect(200);
    }
    drop(before);
    within(PATIENCE, "every connection has ended", || {
        connections(&node).iter().sum::<usize>() == 0
    });
    let open: Vec<Connection> = (0..WORKERS)
        .map(|_| {
            let mut connection = node.connect();
            connection.request(&list).expect(200);
            connection
        })
        .collect();
    assert_eq!(connections(&node), [1; WORKERS]);
    drop(open);
    assert!(node.is_running());
}
