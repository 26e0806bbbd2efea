//! Response bodies: a [`Payload`] as the body that hyper polls. Data in memory are passed to
//! hyper; data in files and on other servers become segments of the connection's send queue.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::body_source::{BodyChunk, BodySource, SendQueue};
use super::completion::Completion;
use super::transport::SendSlot;
use crate::metrics::TransferProgress;
use crate::transfer::{Payload, SpliceRelay};

/// The body of a response on one connection.
pub struct ResponseBody {
    payload: Payload,
    queue: Rc<SendQueue>,
    completion: Option<Completion>,
    progress: Option<Arc<TransferProgress>>,
    /// Bytes in memory that were passed to hyper.
    memory_bytes: u64,
    /// `None` for a text that is rendered while it is sent.
    len: Option<u64>,
    /// Send slot of a text that is rendered while it is sent. Boxed because few bodies have one.
    slot: Option<Box<SendSlot>>,
}

impl ResponseBody {
    pub(super) fn new(payload: Payload, queue: Rc<SendQueue>) -> Self {
        let len = payload.known_len();
        Self {
            payload,
            queue,
            completion: None,
            progress: None,
            memory_bytes: 0,
            len,
            slot: None,
        }
    }

    /// Sets a callback that runs when the body ends, sent completely or not.
    pub fn on_completion(mut self, completion: Completion) -> Self {
        self.completion = Some(completion);
        self
    }

    /// Sets a counter of sent bytes. Bytes in memory are not counted.
    pub fn counted_by(mut self, progress: Option<Arc<TransferProgress>>) -> Self {
        self.progress = progress;
        self
    }

    /// Returns the next piece of a text that is rendered while it is sent.
    ///
    /// Rendering takes processor time like a file transfer, so it takes part in the worker's
    /// fair queue: a small request waits for one piece at most.
    fn poll_rendered(&mut self, cx: &mut Context<'_>) -> Poll<Option<BodyChunk>> {
        let slot = self.slot.get_or_insert_default();
        ready!(slot.poll(cx, true));
        slot.use_up();
        let piece = match &mut self.payload {
            Payload::Text(rendered) => rendered.next_piece(),
            _ => None,
        };
        match piece {
            Some(bytes) => {
                self.memory_bytes += bytes.len() as u64;
                Poll::Ready(Some(BodyChunk::Memory(bytes)))
            }
            None => {
                self.len = Some(self.memory_bytes);
                self.payload = Payload::Empty;
                Poll::Ready(None)
            }
        }
    }

    fn next_piece(&mut self) -> Option<BodyChunk> {
        let source = match std::mem::replace(&mut self.payload, Payload::Empty) {
            Payload::Empty => return None,
            Payload::Bytes(bytes) => {
                self.memory_bytes = bytes.len() as u64;
                return Some(BodyChunk::Memory(bytes));
            }
            Payload::File(slice) => BodySource::File(slice),
            Payload::Partial(slice) => BodySource::PartialFile(RefCell::new(slice)),
            Payload::Remote(remote) => BodySource::Relay(RefCell::new(SpliceRelay::new(*remote))),
            // `poll_frame` calls `poll_rendered` for texts.
            Payload::Text(_) => return None,
        };
        let (completion, progress) = (self.completion.take(), self.progress.take());
        Some(self.queue.push(source, completion, progress))
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Payload::Empty
        } else {
            Payload::Bytes(bytes)
        }
    }
}

impl Body for ResponseBody {
    type Data = BodyChunk;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<BodyChunk>, Self::Error>>> {
        let piece = match self.payload {
            Payload::Text(_) => ready!(self.poll_rendered(cx)),
            _ => self.next_piece(),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let len = self.payload.known_len();
        len.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.queue.count_finished_body();
        if let Some(done) = self.completion.take() {
            done.run(self.memory_bytes, Some(self.memory_bytes) == self.len);
        }
    }
}
