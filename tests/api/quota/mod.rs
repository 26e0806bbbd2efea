//! Quotas of one tenant: `user_storage_quota` and `user_image_quota`.

mod numbers;
mod race;
mod restart;
mod storage;

use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{Headers, OCTETS, RAW, post};

/// The quota of most tests, in bytes.
const QUOTA: usize = 100_000;

fn limited() -> Setup {
    Setup::new().option("user_storage_quota", QUOTA)
}

fn owned(owner: &str) -> [(&str, &str); 1] {
    [("x-image-meta-owner", owner)]
}

/// POST of this many bytes with Content-Length.
fn sized(headers: Headers, len: usize) -> Request {
    let request = post(RAW).headers(&[OCTETS]).headers(headers);
    request.body(vec![7; len])
}

/// POST of this many bytes in chunks.
fn chunked(headers: Headers, len: usize) -> Request {
    let data = vec![7; len];
    let request = post(RAW).headers(&[OCTETS]).headers(headers);
    request.chunked(data.chunks(1000))
}

/// All bytes that count for quotas: those in use and those being removed.
fn counted_bytes(server: &Server) -> usize {
    let metrics = server.metrics();
    let figure = |state: &str| -> usize {
        let name = format!("glance_image_bytes{{state=\"{state}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&*name));
        line.expect("the metric").parse().expect("a number")
    };
    figure("kept") + figure("leaving")
}
