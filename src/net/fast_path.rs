//! Fast path: answers requests without a body directly from memory, without hyper.
//!
//! hyper allocates two buffers and two header maps per request. A response that the handler can
//! write into one buffer without waiting needs none of them. The fast path accepts only plain
//! requests (HTTP/1.1, one Host, no header that changes framing or the connection). It passes
//! all other bytes to hyper unchanged.

use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use httparse::{EMPTY_HEADER, Header, Request, Status};
use tokio::io::ReadBuf;

use super::framing::Authority;
use super::transport::Transport;

/// Size of the receive buffer, in bytes. It is on the stack, so an idle connection needs none.
const RECEIVED_BYTES: usize = 4096;

/// Most headers of a request on the fast path. hyper serves requests with more.
const MAX_HEADERS: usize = 32;

/// A parsed request without a body.
pub struct FastRequest<'a> {
    /// The client's address.
    pub peer: SocketAddr,
    /// The method.
    pub method: &'a str,
    /// The request target, not decoded.
    pub target: &'a str,
    /// Length of the head in bytes.
    pub head_bytes: usize,
    headers: &'a [Header<'a>],
}

impl FastRequest<'_> {
    /// Iterates over the headers: the name as received, and the value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers
            .iter()
            .map(|header| (header.name, header.value))
    }

    /// Returns the value of the first header with this name. Case is ignored.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let is_named = |header: &&Header<'_>| header.name.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(is_named)
            .map(|header| header.value)
    }
}

/// Answers requests on the fast path.
pub trait FastHandler {
    /// Answers a request without waiting, by appending the whole response to `out`. Returns
    /// false and appends nothing if hyper has to serve the request.
    fn handle_fast(&self, request: &FastRequest<'_>, out: &mut Vec<u8>) -> bool;
}

/// Input that a waiting connection received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FastPathInput {
    /// Only requests that were answered; their responses have to be sent.
    Answered,
    /// Bytes for hyper, after any responses are sent.
    ForHyper,
    /// End of the stream, or an error: the client has closed the connection.
    Closed,
}

/// Receives bytes and appends the responses to the fast-path requests at their front to
/// `answers`. The remaining bytes are buffered in the transport, for hyper.
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
        return Poll::Ready(FastPathInput::Closed);
    }
    let mut rest = buffer.filled();
    // Several pipelined requests may have arrived together. The first one that is not plain goes
    // to hyper, and so does everything after it: responses keep the order of the requests.
    while let Some(taken) = take_one(rest, peer, max_head_bytes, |request| {
        handler.handle_fast(request, answers)
    }) {
        transport.count_fast_request();
        rest = &rest[taken..];
    }
    if rest.is_empty() {
        return Poll::Ready(FastPathInput::Answered);
    }
    transport.put_back(rest);
    Poll::Ready(FastPathInput::ForHyper)
}

/// Passes the request at the front of `bytes` to `answer` if it is complete and plain. Returns
/// its length in bytes if `answer` accepted it.
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
    let is_http_11 = request.version == Some(1);
    let (method, target) = (request.method?, request.path?);
    let plain = FastRequest {
        peer,
        method,
        target,
        head_bytes,
        headers: request.headers,
    };
    let is_answered = is_http_11
        && head_bytes <= max_head_bytes
        && has_plain_lines(&bytes[..head_bytes])
        && has_plain_headers(plain.headers)
        && answer(&plain);
    is_answered.then_some(head_bytes)
}

/// Returns true if every line ends in CRLF. (The parser itself rejects folded lines.)
fn has_plain_lines(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).all(|end| end > 0 && head[end - 1] == b'\r')
}

/// Returns true if there is exactly one valid Host and no header that affects the body or the
/// connection.
fn has_plain_headers(headers: &[Header<'_>]) -> bool {
    let mut hosts = 0;
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("host") {
            if !Authority::is_valid(header.value) {
                return false;
            }
            hosts += 1;
        // Headers that give the request a body, change the connection, or require an interim
        // response. Even `Content-Length: 0` goes to hyper: one rule for all of them.
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
    fn plain_requests_are_answered() {
        let one = "HEAD /x HTTP/1.1\r\nHost: h\r\nx-a: b\r\n\r\n";
        assert_eq!(taken(one), Some(one.len()));
        assert_eq!(taken(&format!("{one}{one}")), Some(one.len()));
    }

    #[test]
    fn other_requests_are_left_to_hyper() {
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
