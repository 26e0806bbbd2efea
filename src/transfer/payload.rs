//! The body of a response, before a connection sends it.

use bytes::Bytes;

use super::file_slice::FileSlice;
use super::lazy_text::LazyText;
use super::partial_file::PartialSlice;
use super::range_reader::RangeReader;

/// The data of a response, by their source.
///
/// The source is preserved down to the socket, so that each is sent in the cheapest way: a file
/// with sendfile(2), a socket with splice(2).
#[derive(Debug, Default)]
pub enum Payload {
    /// Nothing.
    #[default]
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A range of an open file.
    File(FileSlice),
    /// A range of a file that is still being written.
    Partial(PartialSlice),
    /// A range of an object on another server.
    Remote(Box<RangeReader>),
    /// A long text that is rendered while it is sent.
    Text(Box<LazyText>),
}

impl Payload {
    /// Returns the length in bytes, or `None` if it is known only at the end.
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

    /// Returns true if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.known_len() == Some(0)
    }
}
