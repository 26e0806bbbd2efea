//! The body of a request whose bytes are pushed while it is sent.
//!
//! Uploads to Swift and the parts of uploads to S3 are sent this way. If the sender is dropped before
//! the body is complete, the body ends with an error: hyper closes the connection, and the server
//! does not take the object for complete.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// A chunk that is pushed into a body.
pub enum PushedChunk {
    /// The next bytes.
    Bytes(Bytes),
    /// The end of the body. A body of known length needs none.
    End,
}

/// A body that yields the chunks of its sender.
pub struct PushedBody {
    chunks: mpsc::Receiver<PushedChunk>,
    length_bytes: Option<u64>,
    sent_bytes: u64,
    has_ended: bool,
}

/// The sender was dropped before the end, or has sent another number of bytes than announced.
#[derive(Debug, thiserror::Error)]
#[error("request body aborted by the sender")]
struct Aborted;

/// Creates a body of `length_bytes`, or of unknown length, and its sender. Up to `capacity` chunks
/// wait for the connection.
pub fn pushed_body(
    length_bytes: Option<u64>,
    capacity: usize,
) -> (mpsc::Sender<PushedChunk>, PushedBody) {
    let (sender, chunks) = mpsc::channel(capacity.max(1));
    let body = PushedBody {
        chunks,
        length_bytes,
        sent_bytes: 0,
        has_ended: false,
    };
    (sender, body)
}

impl PushedBody {
    /// Returns true if as many bytes were sent as were announced.
    fn has_full_length(&self) -> bool {
        self.length_bytes == Some(self.sent_bytes)
    }
}

impl Body for PushedBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // Checked before the channel: the sender of a complete body may be gone already.
        if self.has_ended || self.has_full_length() {
            return Poll::Ready(None);
        }
        match ready!(self.chunks.poll_recv(cx)) {
            Some(PushedChunk::Bytes(bytes)) => {
                self.sent_bytes += bytes.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(PushedChunk::End) if self.length_bytes.is_none() => {
                self.has_ended = true;
                Poll::Ready(None)
            }
            Some(PushedChunk::End) | None => {
                self.has_ended = true;
                Poll::Ready(Some(Err(Aborted.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended || self.has_full_length()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length_bytes {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.sent_bytes)),
            None => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Pushes "abc" and perhaps the end, drops the sender, and reads the body.
    async fn read(length_bytes: Option<u64>, ends: bool) -> Result<Bytes, String> {
        let (sender, body) = pushed_body(length_bytes, 2);
        let push = async move {
            let bytes = Bytes::from_static(b"abc");
            let _ = sender.send(PushedChunk::Bytes(bytes)).await;
            if ends {
                let _ = sender.send(PushedChunk::End).await;
            }
        };
        let ((), collected) = tokio::join!(push, body.collect());
        Ok(collected.map_err(|error| error.to_string())?.to_bytes())
    }

    #[tokio::test]
    async fn a_body_of_known_length_ends_with_its_last_byte() {
        assert_eq!(read(Some(3), false).await.as_deref(), Ok(&b"abc"[..]));
        assert_eq!(read(Some(3), true).await.as_deref(), Ok(&b"abc"[..]));
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_needs_an_end() {
        assert_eq!(read(None, true).await.as_deref(), Ok(&b"abc"[..]));
        assert!(read(None, false).await.is_err());
    }

    #[tokio::test]
    async fn an_incomplete_body_ends_with_an_error() {
        assert!(read(Some(4), false).await.is_err());
        assert!(read(Some(4), true).await.is_err());
    }
}
