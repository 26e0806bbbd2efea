//! A part that is sent while it arrives, for when there is no memory to buffer it.
//!
//! It needs almost no memory, but it can be sent only once: if its connection breaks, the upload
//! fails.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::part_body::PartBody;
use crate::http_client::{PushedChunk, pushed_body};

/// Chunks that wait for the connection, besides those inside the HTTP client.
const WAITING_CHUNKS: usize = 1;

/// The sending end of a streamed part. If it is dropped before the last byte, the request is cut,
/// so that S3 does not store an incomplete part.
pub(super) struct StreamedPart {
    chunks: mpsc::Sender<PushedChunk>,
    left: u64,
}

/// The request has ended before it took the whole part. Its result states the reason.
pub(super) struct BodyDropped;

impl StreamedPart {
    /// Creates a part of `len` bytes, and the body of its request.
    pub(super) fn new(len: u64) -> (Self, PartBody) {
        let (chunks, body) = pushed_body(Some(len), WAITING_CHUNKS);
        (Self { chunks, left: len }, PartBody::streamed(body, len))
    }

    /// Returns true if the part has its full length.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Takes the bytes that fit into the part from the front of `bytes`, and waits until the
    /// connection accepts them.
    pub(super) async fn fill(&mut self, bytes: &mut Bytes) -> Result<(), BodyDropped> {
        let permit = self.chunks.reserve().await.map_err(|_| BodyDropped)?;
        let taken = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.left -= taken as u64;
        permit.send(PushedChunk::Bytes(bytes.split_to(taken)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn chunks_are_sent_by_reference() {
        let (mut part, body) = StreamedPart::new(5);
        let mut stream = body.stream.into_inner();
        assert!(stream.try_clone().is_none());
        for word in ["abc", "defg"] {
            let mut bytes = Bytes::from_static(word.as_bytes());
            let address = bytes.as_ptr();
            assert!(!body.consumed.get());
            assert!(part.fill(&mut bytes).await.is_ok());
            let chunk = stream.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(chunk.as_ptr(), address);
        }
        assert!(part.is_full() && body.consumed.get());
        assert!(stream.frame().await.is_none());
    }

    #[tokio::test]
    async fn dropping_an_incomplete_part_fails_its_body() {
        let (mut part, body) = StreamedPart::new(5);
        let mut stream = body.stream.into_inner();
        assert!(part.fill(&mut Bytes::from_static(b"abc")).await.is_ok());
        drop(part);
        assert!(stream.frame().await.unwrap().is_ok());
        assert!(stream.frame().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn filling_fails_after_the_request_has_ended() {
        let (mut part, body) = StreamedPart::new(5);
        drop(body);
        assert!(part.fill(&mut Bytes::from_static(b"abc")).await.is_err());
    }
}
