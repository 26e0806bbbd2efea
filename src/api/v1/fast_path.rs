//! Fast path of HEAD: the most frequent request is answered from memory with header lines that are
//! rendered once per record. `download::head` must give the same response; it handles every
//! request that this module leaves.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

use crate::auth::Authenticator;
use crate::clock::since_epoch;
use crate::image::{ImageId, Validators};
use crate::net::FastRequest;
use crate::service::Catalog;
use crate::wire;

/// Responds to `HEAD /v1/images/{id}` without conditions, if caller and image are cached and the
/// caller may see the image. Returns `None` for every other request.
pub(super) fn respond(
    catalog: &Catalog,
    authenticator: &Authenticator,
    request: &FastRequest<'_>,
    out: &mut Vec<u8>,
) -> Option<(&'static str, u16)> {
    let id = image_of(request)?;
    // A cache miss of either leaves the request to the general path, which may wait.
    let caller = authenticator.try_caller(request.peer.ip(), request.headers())?;
    let caller = catalog.authorization().with_policy_roles(caller);
    let record = catalog.try_show(&caller, &id)?;
    let now = since_epoch();
    if Validators::of(&record.image).modified_s > seconds(now) {
        // The clock of the server that changed the image is ahead. The lines would state a future
        // Last-Modified, which `download::head` replaces by the current time.
        return None;
    }
    let lines = record.rendered(wire::head_lines);
    out.reserve(lines.len() + 512);
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    out.extend_from_slice(lines);
    write_date(now, out);
    Some(("show", 200))
}

fn image_of(request: &FastRequest<'_>) -> Option<ImageId> {
    if request.method != "HEAD" {
        return None;
    }
    // The Accept header may name an API version, which only `root` parses.
    let accept = request.header("accept").unwrap_or_default();
    if accept.starts_with(b"application/vnd") || accept.contains(&b',') {
        return None;
    }
    if request.headers().any(|(name, _)| is_condition(name)) {
        return None;
    }
    request.target.strip_prefix("/v1/images/")?.parse().ok()
}

/// Returns true if the name starts like those of all conditions (RFC 9110, 13.1).
fn is_condition(name: &str) -> bool {
    let begin = name.as_bytes().first_chunk();
    begin.is_some_and(|begin: &[u8; 3]| begin.eq_ignore_ascii_case(b"if-"))
}

fn seconds(since_epoch: Duration) -> i64 {
    i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX)
}

/// Writes the `Date` header, which is formatted once per second.
fn write_date(now: Duration, out: &mut Vec<u8>) {
    thread_local! {
        static LINE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    LINE.with_borrow_mut(|(second, line)| {
        if *second != now.as_secs() {
            let date = SystemTime::UNIX_EPOCH + Duration::from_secs(now.as_secs());
            *line = format!("Date: {}\r\n", HttpDate::from(date));
            *second = now.as_secs();
        }
        out.extend_from_slice(line.as_bytes());
    });
}
