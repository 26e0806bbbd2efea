//! The body of a request that sends one part of an image.
//!
//! A buffered part can be sent again, so the SDK may retry the request. A streamed part is sent
//! once. Both note when their last byte was taken, because S3 may store a part from then on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::part_buffer::PartBuffer;
use crate::http_client::PushedBody;
use crate::transfer::HttpBody;

/// The body of one request.
pub(super) struct PartBody {
    /// Length in bytes.
    pub(super) len: u64,
    /// The bytes.
    pub(super) stream: ByteStream,
    /// Whether the last attempt took all bytes.
    pub(super) consumed: BodyConsumed,
}

/// A flag that is set once the last byte of the latest attempt was taken. From then on S3 may have
/// the whole part, even if the request is cancelled.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyConsumed(Arc<AtomicBool>);

impl BodyConsumed {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, consumed: bool) {
        self.0.store(consumed, Ordering::Relaxed);
    }
}

impl PartBody {
    /// Creates a body of a buffered part, which can be sent again.
    pub(super) fn buffered(part: &Arc<PartBuffer>) -> Self {
        let (part, len) = (Arc::clone(part), part.len());
        let consumed = BodyConsumed::default();
        let flag = consumed.clone();
        let body = move || {
            // Each attempt starts over.
            flag.set(false);
            let chunks = BufferedChunks {
                part: Arc::clone(&part),
                next: 0,
            };
            SdkBody::from_body_1_x(TrackedBody::new(chunks, len, flag.clone()))
        };
        Self {
            len,
            stream: ByteStream::new(SdkBody::retryable(body)),
            consumed,
        }
    }

    /// Creates a body of a streamed part of `len` bytes, which is sent once.
    pub(super) fn streamed(body: PushedBody, len: u64) -> Self {
        let consumed = BodyConsumed::default();
        let body = TrackedBody::new(body, len, consumed.clone());
        Self {
            len,
            stream: ByteStream::new(SdkBody::from_body_1_x(body)),
            consumed,
        }
    }
}

type BodyError = <HttpBody as Body>::Error;

/// Yields the chunks of a buffered part by reference.
struct BufferedChunks {
    part: Arc<PartBuffer>,
    next: usize,
}

impl Body for BufferedChunks {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let chunk = self.part.chunks().get(self.next).cloned();
        self.next += 1;
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// A body of known length that notes when its last byte was taken.
struct TrackedBody<B> {
    body: B,
    left: u64,
    consumed: BodyConsumed,
}

impl<B> TrackedBody<B> {
    fn new(body: B, len: u64, consumed: BodyConsumed) -> Self {
        Self {
            body,
            left: len,
            consumed,
        }
    }
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let taken = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.left = self.left.saturating_sub(taken);
        }
        if self.left == 0 {
            self.consumed.set(true);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::super::part_memory::PartMemory;
    use super::*;

    #[tokio::test]
    async fn buffered_chunks_are_sent_by_reference_at_each_attempt() {
        const LEN: usize = 64 * 1024;
        let memory = PartMemory::new(1 << 20);
        let mut part = PartBuffer::new(LEN as u64 + 3, memory.part(None));
        let mut bytes = Bytes::from(vec![7; LEN]);
        let address = bytes.as_ptr();
        assert!(part.try_fill(&mut bytes));
        part.fill(&mut Bytes::from_static(b"789abc")).await;

        let body = PartBody::buffered(&part.complete());
        let stream = body.stream.into_inner();
        let again = stream.try_clone().unwrap();
        for mut stream in [stream, again] {
            let first = stream.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first.as_ptr(), address);
            let second = stream.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(second, "789");
            assert!(body.consumed.get());
            assert!(stream.frame().await.is_none());
        }
    }

    #[tokio::test]
    async fn memory_is_released_with_the_last_body() {
        let memory = PartMemory::new(1 << 20);
        let mut part = PartBuffer::new(1 << 20, memory.part(None));
        part.fill(&mut Bytes::from(vec![0; 1 << 20])).await;
        let part = part.complete();
        let body = PartBody::buffered(&part);
        drop(part);
        assert_eq!(memory.part(None).try_grow(1), 0);
        drop(body);
        assert_eq!(memory.part(None).try_grow(1), 1);
    }
}
