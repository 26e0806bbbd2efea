//! The body of an answer.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::completion::Completion;
use super::segment::{Outbox, Piece, Road};
use crate::metrics::Progress;
use crate::transfer::{Payload, Relay};

/// The body of an answer, in the form the connection sends best.
pub struct ResponseBody {
    payload: Payload,
    outbox: Rc<Outbox>,
    completion: Option<Completion>,
    progress: Option<Arc<Progress>>,
    /// Bytes in memory that were handed over.
    handed_bytes: u64,
    len: u64,
}

impl ResponseBody {
    pub(super) fn new(payload: Payload, outbox: Rc<Outbox>) -> Self {
        let len = payload.len();
        Self {
            payload,
            outbox,
            completion: None,
            progress: None,
            handed_bytes: 0,
            len,
        }
    }

    /// Asks to be told when the body is done with, sent or not.
    pub fn on_completion(mut self, completion: Completion) -> Self {
        self.completion = Some(completion);
        self
    }

    /// Asks for bytes to be counted as they leave; those in memory are not.
    pub fn counted_by(mut self, progress: Option<Arc<Progress>>) -> Self {
        self.progress = progress;
        self
    }

    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn next_piece(&mut self) -> Option<Piece> {
        let road = match std::mem::replace(&mut self.payload, Payload::Empty) {
            Payload::Empty => return None,
            Payload::Bytes(bytes) => {
                self.handed_bytes = bytes.len() as u64;
                return Some(Piece::Memory(bytes));
            }
            Payload::File(slice) => Road::File(slice),
            Payload::Growing(slice) => Road::Growing(RefCell::new(slice)),
            Payload::Remote(remote) => Road::Relay(RefCell::new(Relay::new(*remote))),
        };
        let (completion, progress) = (self.completion.take(), self.progress.take());
        Some(self.outbox.push(road, completion, progress))
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
    type Data = Piece;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Self::Error>>> {
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.payload.len())
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.outbox.count_answer();
        if let Some(done) = self.completion.take() {
            done.run(self.handed_bytes, self.handed_bytes == self.len);
        }
    }
}
