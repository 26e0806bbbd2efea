//! Request bodies in memory, and responses that are read into memory.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty, Full};

use super::error::HttpClientError;
use crate::transfer::HttpBody;

/// Returns an empty body.
pub fn empty() -> HttpBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Returns a body of bytes in memory.
pub fn full(bytes: Bytes) -> HttpBody {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Reads a whole body of at most `most_bytes`.
///
/// # Errors
/// `TooMuch` if the body is longer; `Body` if the connection fails.
pub(super) async fn read_all(
    mut body: HttpBody,
    most_bytes: usize,
) -> Result<Bytes, HttpClientError> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers are ignored.
        if let Ok(bytes) = frame.map_err(HttpClientError::Body)?.into_data() {
            if whole.len() + bytes.len() > most_bytes {
                return Err(HttpClientError::TooMuch);
            }
            whole.extend_from_slice(&bytes);
        }
    }
    Ok(whole.freeze())
}
