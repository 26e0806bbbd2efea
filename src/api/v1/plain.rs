//! HEAD of an image, the short way: the request that clients send most, answered from memory
//! with lines that were formatted once.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use httpdate::HttpDate;

use crate::auth::Authenticator;
use crate::image::ImageId;
use crate::net::PlainRequest;
use crate::service::Service;

/// Answers `HEAD /v1/images/{id}` of an image that the caller may see, where both are at
/// hand; nothing else.
pub(super) fn answer(
    service: &Service,
    authenticator: &Authenticator,
    request: &PlainRequest<'_>,
    out: &mut Vec<u8>,
) -> Option<(&'static str, u16)> {
    let id = image_of(request)?;
    let caller = authenticator.at_hand(request.peer.ip(), request.headers())?;
    let caller = service.recognised(caller);
    let record = service.show_at_hand(&caller, &id)?;
    let lines = record.meta_lines();
    out.reserve(lines.len() + 256);
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    out.extend_from_slice(lines);
    if let Some(checksum) = &record.image.checksum {
        out.extend_from_slice(b"etag: ");
        out.extend_from_slice(checksum.as_str().as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"content-type: text/html; charset=UTF-8\r\ncontent-length: 0\r\n");
    write_date(out);
    Some(("show", 200))
}

fn image_of(request: &PlainRequest<'_>) -> Option<ImageId> {
    if request.method != "HEAD" {
        return None;
    }
    // An Accept header may name a version.
    let accept = request.header("accept").unwrap_or_default();
    if accept.starts_with(b"application/vnd") || accept.contains(&b',') {
        return None;
    }
    request.target.strip_prefix("/v1/images/")?.parse().ok()
}

/// The date, formatted once a second.
fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static LINE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let since_epoch = SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs();
    LINE.with_borrow_mut(|(second, line)| {
        if *second != since_epoch {
            let date = HttpDate::from(SystemTime::UNIX_EPOCH + Duration::from_secs(since_epoch));
            *line = format!("date: {date}\r\n");
            *second = since_epoch;
        }
        out.extend_from_slice(line.as_bytes());
    });
}
