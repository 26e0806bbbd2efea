//! One part of an image: the pieces as they came, never put together.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::memory::Taken;
use crate::transfer::Frames;

/// Bytes that are collected until they are enough for a request.
#[derive(Debug)]
pub(super) struct Part {
    pieces: Vec<Bytes>,
    len: u64,
    capacity: u64,
    /// Freed with the last piece.
    _memory: Option<Taken>,
}

impl Part {
    /// A part for as many bytes as memory was taken for.
    pub(super) fn new(capacity: u64, memory: Taken) -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
            capacity,
            _memory: Some(memory),
        }
    }

    /// A part without bytes.
    pub(super) fn empty() -> Self {
        Self {
            pieces: Vec::new(),
            len: 0,
            capacity: 0,
            _memory: None,
        }
    }

    /// Takes from the front of `bytes` what there is room for.
    pub(super) fn fill(&mut self, bytes: &mut Bytes) {
        let room = self.capacity - self.len;
        let taken = usize::try_from(room).map_or(bytes.len(), |room| room.min(bytes.len()));
        self.pieces.push(bytes.split_to(taken));
        self.len += taken as u64;
    }

    pub(super) fn is_full(&self) -> bool {
        self.len >= self.capacity
    }
}

/// Whether the last byte of the latest attempt was taken: the service may have all.
#[derive(Debug, Clone, Default)]
pub(super) struct HandedOver(Arc<AtomicBool>);

impl HandedOver {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, handed_over: bool) {
        self.0.store(handed_over, Ordering::Relaxed);
    }
}

/// The body of one request.
pub(super) struct Load {
    pub(super) len: u64,
    pub(super) stream: ByteStream,
    pub(super) handed_over: HandedOver,
}

/// A part on its way, as often as it takes.
#[derive(Debug, Clone)]
pub(super) struct Parcel {
    part: Arc<Part>,
    handed_over: HandedOver,
}

impl Parcel {
    pub(super) fn new(part: Part) -> Self {
        Self {
            part: Arc::new(part),
            handed_over: HandedOver::default(),
        }
    }

    /// A body that can be sent again.
    pub(super) fn load(&self) -> Load {
        let parcel = self.clone();
        let body = move || SdkBody::from_body_1_x(PartBody::new(parcel.clone()));
        Load {
            len: self.part.len,
            stream: ByteStream::new(SdkBody::retryable(body)),
            handed_over: self.handed_over.clone(),
        }
    }
}

struct PartBody {
    parcel: Parcel,
    next: usize,
    left: u64,
}

impl PartBody {
    fn new(parcel: Parcel) -> Self {
        parcel.handed_over.set(false);
        Self {
            left: parcel.part.len,
            next: 0,
            parcel,
        }
    }
}

impl Body for PartBody {
    type Data = Bytes;
    type Error = <Frames as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = self.parcel.part.pieces.get(self.next).cloned();
        self.next += 1;
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.left == 0 {
            self.parcel.handed_over.set(true);
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

    use super::super::memory::Memory;
    use super::*;

    #[tokio::test]
    async fn pieces_are_passed_on_by_reference_as_often_as_asked() {
        let memory = Memory::new(1 << 20);
        let mut part = Part::new(10, memory.take(10).await);
        let mut bytes = Bytes::from_static(b"0123456");
        let address = bytes.as_ptr();
        part.fill(&mut bytes);
        assert!(bytes.is_empty() && !part.is_full());
        let mut bytes = Bytes::from_static(b"789abc");
        part.fill(&mut bytes);
        assert!(part.is_full());
        assert_eq!(bytes, "abc");

        let parcel = Parcel::new(part);
        let load = parcel.load();
        let stream = load.stream.into_inner();
        let again = stream.try_clone().unwrap();
        for mut body in [stream, again] {
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first.as_ptr(), address);
            let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(second, "789");
            assert!(load.handed_over.get());
            assert!(body.frame().await.is_none());
        }
    }

    #[tokio::test]
    async fn memory_is_free_when_the_last_body_is_gone() {
        let memory = Memory::new(1 << 20);
        let parcel = Parcel::new(Part::new(1 << 20, memory.take(1 << 20).await));
        let load = parcel.load();
        drop(parcel);
        let soon = std::time::Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, memory.take(1)).await.is_err());
        drop(load);
        assert!(tokio::time::timeout(soon, memory.take(1)).await.is_ok());
    }
}
