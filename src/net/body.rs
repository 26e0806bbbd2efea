//! The body of an answer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::completion::Completion;
use super::segment::{Outbox, Piece};
use crate::error::{Error, Result};
use crate::transfer::{Payload, Remote};

/// The body of an answer, in the form the connection sends best.
pub struct ResponseBody {
    payload: Payload,
    outbox: Rc<Outbox>,
    completion: Option<Completion>,
    /// Bytes that another server is asked for.
    arriving: Option<Arriving>,
    /// Bytes in memory that were handed over.
    handed_bytes: u64,
    len: u64,
}

type Arriving = Pin<Box<dyn Future<Output = (Box<Remote>, Result<Option<Bytes>>)>>>;

impl ResponseBody {
    pub(super) fn new(payload: Payload, outbox: Rc<Outbox>) -> Self {
        let len = payload.len();
        Self {
            payload,
            outbox,
            completion: None,
            arriving: None,
            handed_bytes: 0,
            len,
        }
    }

    /// Asks to be told when the body is done with, sent or not.
    pub fn on_completion(mut self, completion: Completion) -> Self {
        self.completion = Some(completion);
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

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Piece>>> {
        let piece = match std::mem::replace(&mut self.payload, Payload::Empty) {
            Payload::Empty => None,
            Payload::Bytes(bytes) => {
                self.handed_bytes = bytes.len() as u64;
                Some(Piece::Memory(bytes))
            }
            Payload::File(slice) => Some(self.outbox.push(slice, self.completion.take())),
            Payload::Remote(mut remote) => {
                self.arriving = Some(Box::pin(async move {
                    let arrived = remote.next().await;
                    (remote, arrived)
                }));
                None
            }
        };
        let Some(arriving) = &mut self.arriving else {
            return Poll::Ready(Ok(piece));
        };
        let (remote, arrived) = ready!(arriving.as_mut().poll(cx));
        self.arriving = None;
        self.payload = Payload::Remote(remote);
        let bytes = arrived?;
        self.handed_bytes += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Poll::Ready(Ok(bytes.map(Piece::Memory)))
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
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>>>> {
        let piece = ready!(self.poll_piece(cx));
        Poll::Ready(piece.transpose().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.payload.is_empty() && self.arriving.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len - self.handed_bytes)
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
