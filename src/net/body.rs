//! The body of an answer.

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

/// The body of an answer, in the form the connection sends best.
pub struct ResponseBody {
    payload: Payload,
    outbox: Rc<SendQueue>,
    completion: Option<Completion>,
    progress: Option<Arc<TransferProgress>>,
    /// Bytes in memory that were handed over.
    handed_bytes: u64,
    /// `None` for a text that is rendered as it is sent.
    len: Option<u64>,
    /// The place in the line of those that render; boxed, since few bodies need one.
    turn: Option<Box<SendSlot>>,
}

impl ResponseBody {
    pub(super) fn new(payload: Payload, outbox: Rc<SendQueue>) -> Self {
        let len = payload.known_len();
        Self {
            payload,
            outbox,
            completion: None,
            progress: None,
            handed_bytes: 0,
            len,
            turn: None,
        }
    }

    /// Asks to be told when the body is done with, sent or not.
    pub fn on_completion(mut self, completion: Completion) -> Self {
        self.completion = Some(completion);
        self
    }

    /// Asks for bytes to be counted as they leave; those in memory are not.
    pub fn counted_by(mut self, progress: Option<Arc<TransferProgress>>) -> Self {
        self.progress = progress;
        self
    }

    /// The next piece of a text that is rendered as it is sent. Like transfers of files, such
    /// texts of a worker take turns, so that a small request never waits for more than one
    /// piece.
    fn poll_rendered(&mut self, cx: &mut Context<'_>) -> Poll<Option<BodyChunk>> {
        let turn = self.turn.get_or_insert_default();
        ready!(turn.poll(cx, true));
        turn.use_up();
        let piece = match &mut self.payload {
            Payload::Text(rendered) => rendered.next_piece(),
            _ => None,
        };
        match piece {
            Some(bytes) => {
                self.handed_bytes += bytes.len() as u64;
                Poll::Ready(Some(BodyChunk::Memory(bytes)))
            }
            None => {
                self.len = Some(self.handed_bytes);
                self.payload = Payload::Empty;
                Poll::Ready(None)
            }
        }
    }

    fn next_piece(&mut self) -> Option<BodyChunk> {
        let road = match std::mem::replace(&mut self.payload, Payload::Empty) {
            Payload::Empty => return None,
            Payload::Bytes(bytes) => {
                self.handed_bytes = bytes.len() as u64;
                return Some(BodyChunk::Memory(bytes));
            }
            Payload::File(slice) => BodySource::File(slice),
            Payload::Partial(slice) => BodySource::PartialFile(RefCell::new(slice)),
            Payload::Remote(remote) => BodySource::Relay(RefCell::new(SpliceRelay::new(*remote))),
            // Of these poll_rendered takes the pieces.
            Payload::Text(_) => return None,
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
        self.outbox.count_answer();
        if let Some(done) = self.completion.take() {
            done.run(self.handed_bytes, Some(self.handed_bytes) == self.len);
        }
    }
}
