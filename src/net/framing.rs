//! The bytes that a client sends, before hyper reads them.
//!
//! This module judges each head before it passes the head to hyper, and passes no byte of the
//! next head with it. It replaces a head that is refused by a sound one. So the response to a
//! refused request is made like every other: it has an id, a line in the log and a count.
//! hyper's own refusals have none of them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

use super::body_framing::{BodyFraming, Followed};
use super::connection_state::ConnectionState;
use super::framing_error::{FramingError, RejectedRequest};
use super::head::{Judged, judge, substitute};

#[cfg(test)]
mod tests;

/// Bytes that are received at a time while a head is coming in.
const RECEIVED_BYTES: usize = 4096;

/// Longest part of a refused request's first line that is kept for the log, in bytes.
const MAX_LINE_BYTES: usize = 512;

/// Limits of what comes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramingLimits {
    /// Largest head, in bytes.
    pub(super) head_bytes: usize,
    /// Longest time from the first byte of a head to its last; `None` waits for ever.
    pub(super) head_time: Option<Duration>,
}

/// The bytes of one connection that are received and not handed on, and what is known of those
/// to come.
pub(super) struct FramingValidator {
    limits: FramingLimits,
    held: BytesMut,
    /// Bytes at the front of `held` that may be handed on.
    cleared_bytes: usize,
    /// Bytes of the head in `held` in which no end was found.
    searched_bytes: usize,
    expects: Expects,
    /// Whether a client whose request was refused may still be sending it.
    leaves_more_to_come: bool,
    /// Runs while a head is coming in.
    head_timer: Option<Pin<Box<Sleep>>>,
    /// Requests that have come in whole, bodies included.
    finished: u64,
}

/// The part of a request that comes next.
enum Expects {
    Head,
    Body(BodyFraming),
    /// Nothing that is listened to: the request was refused.
    Nothing,
    /// Nothing that is understood: the body is malformed.
    Unknown,
}

impl FramingValidator {
    pub(super) fn new(limits: FramingLimits) -> Self {
        Self {
            limits,
            held: BytesMut::new(),
            cleared_bytes: 0,
            searched_bytes: 0,
            expects: Expects::Head,
            leaves_more_to_come: false,
            head_timer: None,
            finished: 0,
        }
    }

    /// Whether the client may have more to send of a request that has begun.
    pub(super) fn is_inside_request(&self) -> bool {
        !matches!(self.expects, Expects::Head) || !self.held.is_empty()
    }

    /// Whether the client may still be sending a body, so that the end of our side has to wait
    /// for it.
    pub(super) fn is_inside_body(&self) -> bool {
        match self.expects {
            Expects::Body(_) | Expects::Unknown => true,
            Expects::Nothing => self.leaves_more_to_come,
            Expects::Head => false,
        }
    }

    /// Takes a request without a body that was answered without hyper.
    pub(super) fn count_plain(&mut self) {
        debug_assert!(!self.is_inside_request(), "plain requests come first");
        self.finished += 1;
    }

    /// Keeps bytes that were received elsewhere.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Reports the progress of the request that is coming in.
    pub(super) fn tell(&self, shared: &ConnectionState) {
        shared.received(self.finished, self.is_inside_request(), self.has_rest());
    }

    /// Whether the rest of a body that has begun is here, for hyper to read away.
    fn has_rest(&self) -> bool {
        let Expects::Body(framing) = &self.expects else {
            return false;
        };
        let rest = &self.held[self.cleared_bytes..];
        !rest.is_empty() && matches!(framing.clone().follow(rest), Followed::Whole(_))
    }

    /// Fills `out` with the bytes that hyper may read next; with none at the end of the stream.
    /// `receive` reads from the socket.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        receive: &mut impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
        shared: &ConnectionState,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.cleared_bytes > 0 {
                self.hand_on(out, shared);
                return Poll::Ready(Ok(()));
            }
            match &mut self.expects {
                Expects::Head => {
                    if !self.judge_held(shared) {
                        ready!(self.poll_head(cx, receive, shared))?;
                        if self.held.is_empty() {
                            return Poll::Ready(Ok(()));
                        }
                    }
                }
                Expects::Body(framing) if !self.held.is_empty() => {
                    let followed = framing.follow(&self.held);
                    self.cleared_bytes = self.end_body(followed, self.held.len());
                }
                Expects::Body(framing) => {
                    ready!(receive(cx, out))?;
                    let received = out.filled().len();
                    let followed = framing.follow(out.filled());
                    let taken = self.end_body(followed, received);
                    self.held.extend_from_slice(&out.filled()[taken..]);
                    out.set_filled(taken);
                    shared.count_received(taken);
                    if taken > 0 || received == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
                Expects::Nothing => return Poll::Ready(Ok(())),
                Expects::Unknown => {
                    let message = "the body of a request is malformed";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
                }
            }
        }
    }

    fn hand_on(&mut self, out: &mut ReadBuf<'_>, shared: &ConnectionState) {
        let bytes = self.cleared_bytes.min(out.remaining());
        out.put_slice(&self.held[..bytes]);
        self.held.advance(bytes);
        self.cleared_bytes -= bytes;
        if self.held.is_empty() {
            // A connection that waits keeps no buffer.
            self.held = BytesMut::new();
        }
        if !matches!(self.expects, Expects::Nothing) {
            shared.count_received(bytes);
        }
    }

    /// Looks for the end of a head in the held bytes. Returns whether some may be handed on.
    fn judge_held(&mut self, shared: &ConnectionState) -> bool {
        self.skip_empty_lines();
        if self.held.is_empty() || !self.may_be_whole() {
            return false;
        }
        match judge(&self.held, self.limits.head_bytes) {
            Judged::Partial => {
                self.searched_bytes = self.held.len();
                return false;
            }
            Judged::Sound { bytes, body } => {
                self.end_head();
                self.cleared_bytes = bytes;
                shared.report(None);
                match BodyFraming::of(body) {
                    Some(framing) => self.expects = Expects::Body(framing),
                    None => self.finished += 1,
                }
            }
            Judged::Refused {
                violation,
                substitute,
            } => self.refuse(violation, &substitute, shared),
        }
        true
    }

    /// FairQueue ends before a request line, which some clients send after a body (RFC 9112, 2.2).
    fn skip_empty_lines(&mut self) {
        loop {
            let bytes = match &self.held[..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                _ => return,
            };
            self.held.advance(bytes);
            self.searched_bytes = 0;
        }
    }

    /// Whether parsing may find the end, or something wrong. A head that comes byte by byte
    /// must not be parsed for each byte.
    fn may_be_whole(&self) -> bool {
        if self.searched_bytes == 0 || self.held.len() >= self.limits.head_bytes {
            return true;
        }
        let from = self.searched_bytes.saturating_sub(2);
        let new = &self.held[from..];
        memchr::memchr_iter(b'\n', new)
            .any(|at| matches!(&new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
    }

    fn end_head(&mut self) {
        self.searched_bytes = 0;
        self.head_timer = None;
    }

    fn refuse(&mut self, violation: FramingError, substitute: &[u8], shared: &ConnectionState) {
        self.end_head();
        shared.count_received(self.held.len());
        shared.report(Some(RejectedRequest {
            error: violation,
            request_line: first_line(&self.held),
        }));
        self.leaves_more_to_come = violation.leaves_more_to_come();
        self.expects = Expects::Nothing;
        self.held = BytesMut::from(substitute);
        self.cleared_bytes = substitute.len();
        self.finished += 1;
    }

    /// Receives more of a head. Nothing is held afterwards when the connection has ended.
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        receive: &mut impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
        shared: &ConnectionState,
    ) -> Poll<io::Result<()>> {
        let mut received = [0; RECEIVED_BYTES];
        let mut buffer = ReadBuf::new(&mut received);
        match receive(cx, &mut buffer) {
            Poll::Pending => {
                ready!(self.poll_head_time(cx));
                self.give_up(FramingError::HeadTimeout, shared);
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                if !self.held.is_empty() {
                    self.give_up(FramingError::HeadCutShort, shared);
                }
            }
            Poll::Ready(Ok(())) => self.held.extend_from_slice(buffer.filled()),
        }
        Poll::Ready(Ok(()))
    }

    fn poll_head_time(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limits.head_time.filter(|_| !self.held.is_empty()) else {
            return Poll::Pending;
        };
        let timer = self
            .head_timer
            .get_or_insert_with(|| Box::pin(sleep(limit)));
        timer.as_mut().poll(cx)
    }

    /// Refuses a head that does not come in whole. A fault in the received part of it takes
    /// precedence over `violation`.
    fn give_up(&mut self, violation: FramingError, shared: &ConnectionState) {
        match judge(&self.held, self.limits.head_bytes) {
            Judged::Refused {
                violation,
                substitute,
            } => self.refuse(violation, &substitute, shared),
            _ => {
                let method = self.held.starts_with(b"HEAD ").then_some("HEAD");
                self.refuse(violation, &substitute(method, None, &[]), shared);
            }
        }
    }

    /// How many of `all` bytes belong to the body.
    fn end_body(&mut self, followed: Followed, all: usize) -> usize {
        match followed {
            Followed::More => all,
            Followed::Whole(bytes) => {
                self.expects = Expects::Head;
                self.finished += 1;
                bytes
            }
            Followed::Malformed(bytes) => {
                self.expects = Expects::Unknown;
                bytes
            }
        }
    }
}

fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let line = line.unwrap_or_default();
    String::from_utf8_lossy(&line[..line.len().min(MAX_LINE_BYTES)]).into_owned()
}
