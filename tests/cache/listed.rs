//! The operators' API that lists cached and queued images.

use serde_json::Value;

use crate::support::http::Response;
use crate::support::server::Server;

pub const CACHED: &str = "/v1/cached_images";
pub const QUEUED: &str = "/v1/queued_images";

pub fn ask(node: &Server, method: &str, path: &str) -> Response {
    node.ask(method, path, "", b"")
}

#[track_caller]
pub fn cached(node: &Server) -> Vec<Value> {
    let answer = ask(node, "GET", CACHED).expect(200).json();
    answer["cached_images"].as_array().expect("a list").clone()
}

#[track_caller]
pub fn queued(node: &Server) -> Value {
    ask(node, "GET", QUEUED).expect(200).json()["queued_images"].clone()
}

/// Returns the number of reads of a cached image from the API.
#[track_caller]
pub fn hits(node: &Server, id: &str) -> u64 {
    let list = cached(node);
    let entry = list.iter().find(|entry| entry["image_id"] == id);
    entry.expect("it is kept")["hits"]
        .as_u64()
        .expect("a number")
}
