//! Bodies of requests.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};

use crate::transfer::Frames;

/// A body without bytes.
pub fn empty() -> Frames {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of bytes in memory.
pub fn full(bytes: Bytes) -> Frames {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}
