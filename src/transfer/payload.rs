//! The one body type, in whatever form the bytes are at hand.

use bytes::Bytes;

use super::growing::GrowingSlice;
use super::remote::Remote;
use super::slice::FileSlice;

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
    Growing(GrowingSlice),
    /// Bytes that come from another server.
    Remote(Box<Remote>),
}

impl Payload {
    /// Bytes that will be sent.
    pub fn len(&self) -> u64 {
        match self {
            Payload::Empty => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::File(slice) => slice.len,
            Payload::Growing(slice) => slice.len(),
            Payload::Remote(remote) => remote.left(),
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
