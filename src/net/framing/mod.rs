//! Validates the framing of requests before hyper reads them, against request smuggling.
//!
//! The validator checks each head completely before it passes the head to hyper, and passes no
//! byte of the next head with it. It replaces a head with an error by a valid substitute, so
//! that a handler answers it: the response then has a request id, a line in the access log and a
//! metric, which hyper's own error responses lack.

mod authority;
mod body;
mod error;
mod head;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;
use tokio::time::{Sleep, sleep};

pub use self::authority::Authority;
use self::body::{BodyFraming, Followed};
pub use self::error::{FramingError, RejectedRequest};
pub(super) use self::head::MAX_HEADERS;
use self::head::{Head, substitute, validate};
use super::connection_state::ConnectionState;

/// Bytes that are received at a time while a head is incomplete.
const RECEIVED_BYTES: usize = 4096;

/// Longest part of a rejected request line that is kept for the log, in bytes.
const MAX_LINE_BYTES: usize = 512;

/// Limits of a request head.
#[derive(Debug, Clone, Copy)]
pub(super) struct FramingLimits {
    /// Largest head, in bytes.
    pub(super) head_bytes: usize,
    /// Longest time from the first byte of a head to its last. `None` disables the limit.
    pub(super) head_time: Option<Duration>,
}

/// Buffers the received bytes of one connection until they are validated, and tracks which part
/// of a request comes next.
pub(super) struct FramingValidator {
    limits: FramingLimits,
    held: BytesMut,
    /// Bytes at the front of `held` that are validated, so that hyper may read them.
    cleared_bytes: usize,
    /// Bytes at the front of `held` that were searched and contain no end of a head.
    searched_bytes: usize,
    expects: Expects,
    /// True if the client may still be sending a rejected request.
    leaves_more_to_come: bool,
    /// Limits the time of an incomplete head.
    head_timer: Option<Pin<Box<Sleep>>>,
    /// Number of completely received requests, bodies included.
    finished: u64,
}

/// The part of a request that comes next.
enum Expects {
    Head,
    Body(BodyFraming),
    /// Nothing: the request was rejected, and the connection closes after its response.
    Nothing,
    /// Unknown: the body is malformed, so the next request cannot be found.
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

    /// Returns true if a request has begun and is not yet received completely.
    pub(super) fn is_inside_request(&self) -> bool {
        !matches!(self.expects, Expects::Head) || !self.held.is_empty()
    }

    /// Returns true if the client may still be sending a body, so that the connection has to
    /// linger before it is closed.
    pub(super) fn is_inside_body(&self) -> bool {
        match self.expects {
            Expects::Body(_) | Expects::Unknown => true,
            Expects::Nothing => self.leaves_more_to_come,
            Expects::Head => false,
        }
    }

    /// Counts a request that the fast path answered.
    pub(super) fn count_fast_request(&mut self) {
        debug_assert!(!self.is_inside_request(), "bytes of a request are held");
        self.finished += 1;
    }

    /// Appends bytes that the fast path received and did not use.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Records the progress of the current request in the shared state.
    pub(super) fn update(&self, shared: &ConnectionState) {
        shared.set_received(self.finished, self.is_inside_request(), self.has_rest());
    }

    /// Returns true if the rest of the current body is held here, so that hyper can discard it
    /// without waiting for the client.
    fn has_rest(&self) -> bool {
        let Expects::Body(framing) = &self.expects else {
            return false;
        };
        let rest = &self.held[self.cleared_bytes..];
        !rest.is_empty() && matches!(framing.clone().follow(rest), Followed::Whole(_))
    }

    /// Fills `out` with validated bytes for hyper, or with none at the end of the stream.
    /// `receive` reads from the socket.
    ///
    /// # Errors
    /// Those of `receive`; `InvalidData` if the body of a request is malformed.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
        receive: &mut impl FnMut(&mut Context<'_>, &mut ReadBuf<'_>) -> Poll<io::Result<()>>,
        shared: &ConnectionState,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.cleared_bytes > 0 {
                self.pass_on(out, shared);
                return Poll::Ready(Ok(()));
            }
            match &mut self.expects {
                Expects::Head => {
                    if !self.validate_held(shared) {
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
                    // hyper's buffer received directly, without a copy. Bytes after the end of the
                    // body belong to the next head: they are moved to `held`, out of hyper's sight.
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
                    let message = "malformed request body: invalid chunked encoding";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
                }
            }
        }
    }

    fn pass_on(&mut self, out: &mut ReadBuf<'_>, shared: &ConnectionState) {
        let bytes = self.cleared_bytes.min(out.remaining());
        out.put_slice(&self.held[..bytes]);
        self.held.advance(bytes);
        self.cleared_bytes -= bytes;
        if self.held.is_empty() {
            // Frees the memory: an idle connection holds no buffer.
            self.held = BytesMut::new();
        }
        if !matches!(self.expects, Expects::Nothing) {
            shared.count_received(bytes);
        }
    }

    /// Validates the head at the front of the held bytes. Returns true if bytes are cleared for
    /// hyper.
    fn validate_held(&mut self, shared: &ConnectionState) -> bool {
        self.skip_empty_lines();
        if self.held.is_empty() || !self.may_be_whole() {
            return false;
        }
        match validate(&self.held, self.limits.head_bytes) {
            Head::Partial => {
                self.searched_bytes = self.held.len();
                return false;
            }
            Head::Valid { bytes, body } => {
                self.end_head();
                self.cleared_bytes = bytes;
                shared.push_verdict(None);
                match BodyFraming::of(body) {
                    Some(framing) => self.expects = Expects::Body(framing),
                    None => self.finished += 1,
                }
            }
            Head::Rejected { error, substitute } => self.reject(error, &substitute, shared),
        }
        true
    }

    /// Skips empty lines before a request line. Some clients send one after a body (RFC 9112,
    /// 2.2).
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

    /// Returns true if the held head may be complete or too large, so that it is worth parsing.
    /// Without this check, a head that arrives byte by byte would be parsed for every byte.
    fn may_be_whole(&self) -> bool {
        if self.searched_bytes == 0 || self.held.len() >= self.limits.head_bytes {
            return true;
        }
        // The blank line may begin in the last two bytes that were searched.
        let from = self.searched_bytes.saturating_sub(2);
        let new = &self.held[from..];
        memchr::memchr_iter(b'\n', new)
            .any(|at| matches!(&new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
    }

    fn end_head(&mut self) {
        self.searched_bytes = 0;
        self.head_timer = None;
    }

    fn reject(&mut self, error: FramingError, substitute: &[u8], shared: &ConnectionState) {
        self.end_head();
        shared.count_received(self.held.len());
        shared.push_verdict(Some(RejectedRequest {
            error,
            request_line: first_line(&self.held),
        }));
        self.leaves_more_to_come = error.leaves_more_to_come();
        self.expects = Expects::Nothing;
        self.held = BytesMut::from(substitute);
        self.cleared_bytes = substitute.len();
        self.finished += 1;
    }

    /// Receives more of a head. No bytes are held afterwards if the connection has ended between
    /// two requests.
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
                // Polled only while the socket has no bytes, so that a received head never times
                // out.
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

    /// Rejects an incomplete head. An error in its received part takes precedence over `error`.
    fn give_up(&mut self, error: FramingError, shared: &ConnectionState) {
        match validate(&self.held, self.limits.head_bytes) {
            Head::Rejected { error, substitute } => self.reject(error, &substitute, shared),
            _ => {
                let method = self.held.starts_with(b"HEAD ").then_some("HEAD");
                self.reject(error, &substitute(method, None, &[]), shared);
            }
        }
    }

    /// Applies the result of following a body. Returns how many of `all` bytes belong to it.
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
