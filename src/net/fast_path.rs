//! The short road: requests without a body that are answered at once.
//!
//! hyper costs a request two buffers and two header maps. A request that a handler can
//! answer from memory, into one buffer, without waiting, needs neither. What is recognised
//! here is deliberately narrow; everything else, and everything odd, goes to hyper with all
//! its bytes.

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use httparse::{EMPTY_HEADER, Header, Request, Status};
use tokio::io::ReadBuf;

use super::authority::Authority;
use super::transport::Transport;

/// Bytes that are received at a time.
const RECEIVED_BYTES: usize = 4096;

/// Headers of a request that goes the short road; one with more goes the long one.
const MAX_HEADERS: usize = 32;

/// A request without a body, as it came.
pub struct FastRequest<'a> {
    /// Who asks.
    pub peer: SocketAddr,
    /// The method.
    pub method: &'a str,
    /// The target, undecoded.
    pub target: &'a str,
    /// Bytes of the head.
    pub head_bytes: usize,
    headers: &'a [Header<'a>],
}

impl FastRequest<'_> {
    /// Every header: its name as it came, and its value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers
            .iter()
            .map(|header| (header.name, header.value))
    }

    /// The first header of this name, which is compared without case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let is_named = |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(is_named)
            .map(|header| header.value)
    }
}

/// What answers plain requests.
pub trait FastHandler {
    /// Answers a plain request at once, by appending the whole answer to `out`; or appends
    /// nothing and returns false, and the request goes the long way.
    fn handle_fast(&self, request: &FastRequest<'_>, out: &mut Vec<u8>) -> bool;
}

/// What has come in on a connection that waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FastPathInput {
    /// Plain requests, and nothing else; their answers wait to be sent.
    Plain,
    /// Something for hyper, after the answers are sent.
    Other,
    /// The end: the client has gone.
    Nothing,
}

/// Waits for what comes in next and answers the plain requests at its front into `answers`.
/// What follows them is put back for hyper.
pub(super) fn poll_next(
    transport: &mut Transport,
    cx: &mut Context<'_>,
    peer: SocketAddr,
    max_head_bytes: usize,
    handler: &impl FastHandler,
    answers: &mut Vec<u8>,
) -> Poll<FastPathInput> {
    let mut received = [0; RECEIVED_BYTES];
    let mut buffer = ReadBuf::new(&mut received);
    if ready!(transport.poll_receive(cx, &mut buffer)).is_err() || buffer.filled().is_empty() {
        return Poll::Ready(FastPathInput::Nothing);
    }
    let mut rest = buffer.filled();
    while let Some(taken) = take_one(rest, peer, max_head_bytes, |request| {
        handler.handle_fast(request, answers)
    }) {
        transport.count_fast_request();
        rest = &rest[taken..];
    }
    if rest.is_empty() {
        return Poll::Ready(FastPathInput::Plain);
    }
    transport.put_back(rest);
    Poll::Ready(FastPathInput::Other)
}

/// Hands the request at the front of `bytes` to `answer`, if it is whole and plain, and
/// `answer` takes it. Returns how many bytes it had.
fn take_one(
    bytes: &[u8],
    peer: SocketAddr,
    max_head_bytes: usize,
    answer: impl FnOnce(&FastRequest<'_>) -> bool,
) -> Option<usize> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut headers);
    let Ok(Status::Complete(head_bytes)) = request.parse(bytes) else {
        return None;
    };
    let is_modern = request.version == Some(1);
    let (method, target) = (request.method?, request.path?);
    let plain = FastRequest {
        peer,
        method,
        target,
        head_bytes,
        headers: request.headers,
    };
    let takes = is_modern
        && head_bytes <= max_head_bytes
        && has_plain_lines(&bytes[..head_bytes])
        && has_plain_headers(plain.headers)
        && answer(&plain);
    takes.then_some(head_bytes)
}

/// Whether every line ends as it should, and none goes on from the one before.
fn has_plain_lines(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|end| end > 0 && head[end - 1] == b'\r')
}

/// Whether nothing but the target decides what is asked and how the connection goes on.
fn has_plain_headers(headers: &[Header<'_>]) -> bool {
    let mut hosts = 0;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("host") {
            if !Authority::takes(header.value) {
                return false;
            }
            hosts += 1;
        } else if is("content-length")
            || is("transfer-encoding")
            || is("connection")
            || is("expect")
            || is("upgrade")
            || is("te")
        {
            return false;
        }
    }
    hosts == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(bytes: &str) -> Option<usize> {
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        take_one(bytes.as_bytes(), peer, 1000, |request| {
            assert_eq!(request.method, "HEAD");
            assert_eq!(request.header("X-A"), Some(&b"b"[..]));
            request.target == "/x"
        })
    }

    #[test]
    fn takes_what_is_plain() {
        let one = "HEAD /x HTTP/1.1\r\nHost: h\r\nx-a: b\r\n\r\n";
        assert_eq!(taken(one), Some(one.len()));
        assert_eq!(taken(&format!("{one}{one}")), Some(one.len()));
    }

    #[test]
    fn leaves_the_rest_to_hyper() {
        for head in [
            "HEAD /y HTTP/1.1\r\nHost: h\r\nx-a: b\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h\r\nx-a: b\r\n",
            "HEAD /x HTTP/1.0\r\nHost: h\r\nx-a: b\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nx-a: b\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h\r\nHost: h\r\nx-a: b\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h h\r\nx-a: b\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h h\r\nHost: h\r\nx-a: b\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h\nx-a: b\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h\r\nx-a: b\r\nContent-Length: 1\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h\r\nx-a: b\r\nConnection: close\r\n\r\n",
            "HEAD /x HTTP/1.1\r\nHost: h\r\nx-a: b\r\nTransfer-Encoding: chunked\r\n\r\n",
            "nonsense",
        ] {
            assert_eq!(taken(head), None, "{head:?}");
        }
        let long = format!(
            "HEAD /x HTTP/1.1\r\nHost: h\r\nx-a: b\r\nx-c: {}\r\n\r\n",
            "c".repeat(1000)
        );
        assert_eq!(taken(&long), None);
    }
}
