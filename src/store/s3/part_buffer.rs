//! One part of an image: the pieces as they came, never put together.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::part_memory::MemoryReservation;
use crate::transfer::HttpBody;

/// Pieces below this size are copied: they would keep the whole buffer they came in.
const COPIED_BELOW_BYTES: usize = 32 * 1024;

/// Bytes that are collected until they are enough for a request.
#[derive(Debug)]
pub(super) struct PartBuffer {
    pieces: Vec<Bytes>,
    len: u64,
    capacity: u64,
    /// Grows with the bytes, and is free again with the last piece.
    memory: Option<MemoryReservation>,
}

impl PartBuffer {
    /// A part for at most so many bytes, which takes memory as they come.
    pub(super) fn new(capacity: u64, memory: MemoryReservation) -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
            capacity,
            memory: Some(memory),
        }
    }

    /// A part without bytes.
    pub(super) fn empty() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
            capacity: 0,
            memory: None,
        }
    }

    /// Takes from the front of `bytes` what there is room and memory for now. Whether that
    /// was any.
    pub(super) fn try_fill(&mut self, bytes: &mut Bytes) -> bool {
        let wanted = self.wanted(bytes);
        let taken = match &mut self.memory {
            Some(memory) => memory.try_grow(wanted),
            None => 0,
        };
        self.push(bytes, taken);
        taken > 0
    }

    /// Takes from the front of `bytes` what there is room for, as soon as there is memory
    /// for any of it.
    pub(super) async fn fill(&mut self, bytes: &mut Bytes) {
        let wanted = self.wanted(bytes);
        let taken = match &mut self.memory {
            Some(memory) => memory.grow(wanted).await,
            None => 0,
        };
        self.push(bytes, taken);
    }

    fn wanted(&self, bytes: &Bytes) -> u64 {
        (self.capacity - self.len).min(bytes.len() as u64)
    }

    fn push(&mut self, bytes: &mut Bytes, taken: u64) {
        if taken == 0 {
            return;
        }
        // At most the length of the bytes, which fits.
        let piece = bytes.split_to(taken as usize);
        self.len += taken;
        self.pieces.push(match piece.len() < COPIED_BELOW_BYTES {
            true => Bytes::copy_from_slice(&piece),
            false => piece,
        });
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Bytes that it has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes that it may have.
    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The bytes so far.
    pub(super) fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }
}

/// Whether the last byte of the latest attempt was taken: the service may have all.
#[derive(Debug, Clone, Default)]
pub(super) struct BodyConsumed(Arc<AtomicBool>);

impl BodyConsumed {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, consumed: bool) {
        self.0.store(consumed, Ordering::Relaxed);
    }
}

/// The body of one request.
pub(super) struct PartBody {
    pub(super) len: u64,
    pub(super) stream: ByteStream,
    pub(super) consumed: BodyConsumed,
}

/// A part on its way, as often as it takes.
#[derive(Debug, Clone)]
pub(super) struct RetryablePart {
    part: Arc<PartBuffer>,
    consumed: BodyConsumed,
}

impl RetryablePart {
    pub(super) fn new(mut part: PartBuffer) -> Self {
        if let Some(memory) = &mut part.memory {
            memory.stop_growing();
        }
        Self {
            part: Arc::new(part),
            consumed: BodyConsumed::default(),
        }
    }

    /// A body that can be sent again.
    pub(super) fn load(&self) -> PartBody {
        let part = self.clone();
        let body = move || SdkBody::from_body_1_x(RetryableBody::new(part.clone()));
        PartBody {
            len: self.part.len,
            stream: ByteStream::new(SdkBody::retryable(body)),
            consumed: self.consumed.clone(),
        }
    }
}

struct RetryableBody {
    part: RetryablePart,
    next: usize,
    left: u64,
}

impl RetryableBody {
    fn new(part: RetryablePart) -> Self {
        part.consumed.set(false);
        Self {
            left: part.part.len,
            next: 0,
            part,
        }
    }
}

impl Body for RetryableBody {
    type Data = Bytes;
    type Error = <HttpBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.part.part.pieces.get(self.next).cloned();
        self.next += 1;
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.left == 0 {
            self.part.consumed.set(true);
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
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
    async fn pieces_are_passed_on_by_reference_as_often_as_asked() {
        let memory = PartMemory::new(1 << 20);
        const LEN: usize = COPIED_BELOW_BYTES;
        let mut part = PartBuffer::new(LEN as u64 + 3, memory.part(None));
        let mut bytes = Bytes::from(vec![7; LEN]);
        let address = bytes.as_ptr();
        assert!(part.try_fill(&mut bytes));
        assert!(bytes.is_empty() && !part.is_full());
        let mut bytes = Bytes::from_static(b"789abc");
        part.fill(&mut bytes).await;
        assert!(part.is_full());
        assert_eq!(bytes, "abc");

        let part = RetryablePart::new(part);
        let load = part.load();
        let stream = load.stream.into_inner();
        let again = stream.try_clone().unwrap();
        for mut body in [stream, again] {
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first.as_ptr(), address);
            let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(second, "789");
            assert!(load.consumed.get());
            assert!(body.frame().await.is_none());
        }
    }

    #[tokio::test]
    async fn memory_is_free_when_the_last_body_is_gone() {
        let memory = PartMemory::new(1 << 20);
        let mut part = PartBuffer::new(1 << 20, memory.part(None));
        part.fill(&mut Bytes::from(vec![0; 1 << 20])).await;
        let part = RetryablePart::new(part);
        let load = part.load();
        drop(part);
        assert_eq!(memory.part(None).try_grow(1), 0);
        drop(load);
        assert_eq!(memory.part(None).try_grow(1), 1);
    }
}
