//! The one body type, in whatever form the bytes are at hand.

use bytes::Bytes;

use super::file_slice::FileSlice;
use super::lazy_text::LazyText;
use super::partial_file::PartialSlice;
use super::range_reader::RangeReader;

/// Bytes that are to be sent: what they are, not only what they yield, so that the road
/// below can be the shortest for each. A file stays a file until a socket asks.
#[derive(Debug, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A part of an open file.
    File(FileSlice),
    /// A part of a file that is being written.
    Partial(PartialSlice),
    /// Bytes that come from another server.
    Remote(Box<RangeReader>),
    /// A long text, rendered as it is sent.
    Text(Box<LazyText>),
}

impl Payload {
    /// Bytes that will be sent; `None` when that is known only at the end.
    pub fn known_len(&self) -> Option<u64> {
        match self {
            Payload::Empty => Some(0),
            Payload::Bytes(bytes) => Some(bytes.len() as u64),
            Payload::File(slice) => Some(slice.len),
            Payload::Partial(slice) => Some(slice.len()),
            Payload::Remote(remote) => Some(remote.left()),
            Payload::Text(_) => None,
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.known_len() == Some(0)
    }
}
