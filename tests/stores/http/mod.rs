//! The store `http`, and the headers by which clients name sources: `x-image-meta-location` and
//! `x-glance-api-copy-from`.

mod conformance;
mod copy_from;
mod copy_life;
mod crowd;
mod faults;
mod forbidden;
mod location;
mod quota;
mod secrets;
mod tls;
mod trickle;

use std::sync::OnceLock;

use crate::support::eventually;
use crate::support::http::Request;
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::server::{Server, Setup};
use crate::support::v1::{Headers, RAW, post};

const LOCATION: &str = "x-image-meta-location";
const COPY_FROM: &str = "x-glance-api-copy-from";

/// A node whose clients may name servers on loopback.
fn open_setup() -> Setup {
    Setup::new()
        .option_in("import_filtering_opts", "allow_private_addresses", true)
        .option_in("import_filtering_opts", "allowed_ports", "")
        .option_in("glance_store", "http_store_stall_timeout", 2)
}

/// A shared node for tests that do not affect each other.
fn open_node() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| open_setup().start())
}

/// A faultless origin with some content.
fn honest(size_bytes: u64) -> Origin {
    Origin::honest(Content::new(size_bytes, size_bytes))
}

/// POST of an image with both formats and a source.
fn from(header: &str, source: &str) -> Request {
    post(RAW).headers(&[(header, source)])
}

/// The same with additional headers.
fn from_with(header: &str, source: &str, headers: Headers) -> Request {
    from(header, source).headers(headers)
}

/// Waits until a copy has ended.
#[track_caller]
fn end_of_copy(node: &Server, id: &str) -> String {
    eventually("the copy ends", || {
        let status = node.status_of(id);
        (status != "queued" && status != "saving").then_some(status)
    })
}
