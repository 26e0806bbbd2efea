//! Reading request bodies, whole or as a stream of image data, with limits on size, silence and
//! rate.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_RANGE;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::request::ApiRequest;
use crate::error::{Error, Kind, Result};
use crate::image::Md5Digest;
use crate::md5::Md5;
use crate::net::Connection;
use crate::service::DataSource;
use crate::transfer::MinRate;
use crate::wire::read_content_md5;

/// Largest JSON body, in bytes. The longest list of members is far smaller.
const MAX_JSON_BYTES: usize = 1024 * 1024;

/// Time limits for the sender of a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyTimeouts {
    /// Longest time without a byte; `None` for no limit.
    pub stall: Option<Duration>,
    /// Minimum rate in bytes per second while the server waits for the sender; 0 for no limit.
    pub min_rate_bytes: u64,
}

/// A body as a source of image data.
pub(super) struct BodySource {
    body: Incoming,
    connection: Connection,
    stall: Option<Duration>,
    pace: MinRate,
}

impl BodySource {
    pub(super) fn new(body: Incoming, connection: Connection, timeouts: BodyTimeouts) -> Self {
        Self {
            body,
            connection,
            stall: timeouts.stall,
            pace: MinRate::new(timeouts.min_rate_bytes),
        }
    }
}

impl DataSource for BodySource {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let began = Instant::now();
        let Some(bytes) = next_data(&mut self.body, self.stall).await? else {
            // hyper and the framing validator must agree on the end: storing a truncated image as
            // complete would be the worst failure of an upload.
            return if self.connection.is_fully_received() {
                Ok(None)
            } else {
                Err(disconnected())
            };
        };
        // Only the time spent waiting for the client counts, not the time the store takes.
        if self.pace.keeps_up(began.elapsed(), bytes.len()) {
            Ok(Some(bytes))
        } else {
            Err(too_slow())
        }
    }
}

async fn next_data(body: &mut Incoming, stall: Option<Duration>) -> Result<Option<Bytes>> {
    loop {
        let frame = match stall {
            None => body.frame().await,
            Some(stall) => tokio::time::timeout(stall, body.frame())
                .await
                .map_err(|_| too_slow())?,
        };
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(broken(error)),
            // Trailers are ignored.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads the whole body of a request, which must be small.
pub(super) async fn small_body(
    request: &mut ApiRequest,
    timeouts: BodyTimeouts,
) -> Result<Vec<u8>> {
    let stated_md5 = read_content_md5(request.headers())?;
    let body = match request.body.take() {
        None => Vec::new(),
        Some(body) => read_small(body, timeouts).await?,
    };
    check_content_md5(stated_md5, &body)?;
    Ok(body)
}

/// Compares a body with the MD5 in Content-MD5, if there is one.
pub(super) fn check_content_md5(stated: Option<Md5Digest>, body: &[u8]) -> Result<()> {
    if stated.is_none_or(|stated| stated == Md5::digest(body)) {
        return Ok(());
    }
    let message = "The body does not have the MD5 that Content-MD5 states.";
    Err(Error::new(Kind::Invalid, message))
}

/// Refuses a request to change a part of a resource (RFC 9110, 14.5). Treating the part as the
/// whole would replace the image with a fragment.
pub(super) fn refuse_partial(request: &ApiRequest) -> Result<()> {
    if request.method().is_safe() || !request.headers().contains_key(CONTENT_RANGE) {
        return Ok(());
    }
    let message = "Content-Range is not supported in requests: send the whole body.";
    Err(Error::new(Kind::Invalid, message))
}

async fn read_small(mut body: Incoming, timeouts: BodyTimeouts) -> Result<Vec<u8>> {
    let too_large = || {
        let message = format!("The body may have at most {MAX_JSON_BYTES} bytes.");
        Error::new(Kind::TooLarge, message)
    };
    if body.size_hint().lower() > MAX_JSON_BYTES as u64 {
        return Err(too_large());
    }
    let mut whole = Vec::new();
    while let Some(bytes) = next_data(&mut body, timeouts.stall).await? {
        if whole.len() + bytes.len() > MAX_JSON_BYTES {
            return Err(too_large());
        }
        whole.extend_from_slice(&bytes);
    }
    Ok(whole)
}

fn too_slow() -> Error {
    Error::new(Kind::Timeout, "The request body arrived too slowly.")
}

fn disconnected() -> Error {
    let message = "The client disconnected before sending all its data.";
    Error::new(Kind::Disconnected, message)
}

fn broken(error: hyper::Error) -> Error {
    let source = std::error::Error::source(&error);
    let source = source.and_then(|source| source.downcast_ref::<io::Error>());
    let is_malformed = |source: &io::Error| {
        matches!(
            source.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
        )
    };
    if error.is_parse() || source.is_some_and(is_malformed) {
        let message = "The body of the request is malformed.";
        return Error::new(Kind::Invalid, message).because(error);
    }
    disconnected().because(error)
}
