//! hyper behind the [`FramingValidator`]: for every stream, delivered in any pieces, both see the same
//! requests, and hyper rejects none by itself.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::net::framing::head::MAX_HEADERS;

const HEAD_BYTES: usize = 2000;

/// A request as the handler sees it: rejected, or its request line and body.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Rejected(FramingError),
    Whole(String, Vec<u8>),
    BodyBroken(String),
}

/// A connection that delivers these pieces and then the end of the stream.
struct Pieces {
    framing: FramingValidator,
    shared: Rc<ConnectionState>,
    pieces: VecDeque<Vec<u8>>,
}

impl hyper::rt::Read for Pieces {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            framing,
            shared,
            pieces,
        } = self.get_mut();
        let mut bytes = vec![0; cursor.remaining()];
        let mut buffer = ReadBuf::new(&mut bytes);
        let mut receive = |_: &mut Context<'_>, buffer: &mut ReadBuf<'_>| {
            if let Some(piece) = pieces.front_mut() {
                let taken = piece.len().min(buffer.remaining());
                buffer.put_slice(&piece[..taken]);
                piece.drain(..taken);
                if piece.is_empty() {
                    pieces.pop_front();
                }
            }
            Poll::Ready(Ok(()))
        };
        let filled = framing.poll_fill(cx, &mut buffer, &mut receive, shared);
        framing.update(shared);
        ready!(filled)?;
        cursor.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Pieces {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Serves a stream in these pieces with hyper. hyper and the validator must agree at every step.
fn seen(pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<Seen> {
    let shared = Rc::<ConnectionState>::default();
    let connection = Pieces {
        framing: FramingValidator::new(FramingLimits {
            head_bytes: HEAD_BYTES,
            head_time: None,
        }),
        shared: Rc::clone(&shared),
        pieces: pieces
            .into_iter()
            .filter(|piece| !piece.is_empty())
            .collect(),
    };
    let all = RefCell::new(Vec::new());
    let service = service_fn(async |request: http::Request<Incoming>| {
        let number = all.borrow().len() as u64 + 1;
        let finding = shared
            .next_verdict()
            .expect("hyper reads validated heads only");
        let line = format!("{} {}", request.method(), request.uri());
        let seen = match (finding, request.into_body().collect().await) {
            (Some(rejected), _) => Seen::Rejected(rejected.error),
            (None, Err(_)) => Seen::BodyBroken(line),
            (None, Ok(body)) => {
                assert!(
                    shared.received_requests() >= number,
                    "{line}: hyper ends its body early"
                );
                Seen::Whole(line, body.to_bytes().to_vec())
            }
        };
        all.borrow_mut().push(seen);
        Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
    });
    let mut builder = http1::Builder::new();
    builder
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(MAX_HEADERS)
        .max_header_size(HEAD_BYTES + 1024)
        .max_buf_size(64 * 1024);
    let served = builder.serve_connection(connection, service);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let served = runtime.unwrap().block_on(served);
    if let Err(error) = served {
        assert!(!error.is_parse(), "hyper rejects by itself: {error}");
    }
    all.into_inner()
}

fn bytewise(stream: &str) -> Vec<Seen> {
    seen(stream.bytes().map(|byte| vec![byte]))
}

fn whole(stream: &str) -> Vec<Seen> {
    seen([stream.as_bytes().to_vec()])
}

fn request(line: &str, body: &str) -> Seen {
    Seen::Whole(line.to_owned(), body.as_bytes().to_vec())
}

const GET: &str = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";

#[test]
fn pipelined_requests_keep_their_bodies() {
    let chunked = "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;x=y\r\nab\ncd\r\n1 \r\n\n\r\n0\r\nTrailer: x\r\n\r\n";
    let sized = "PUT /s HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\na\nb\r\n";
    let stream = format!("\r\n{GET}{sized}\r\n\n{chunked}{GET}");
    let wanted = [
        request("GET /next", ""),
        request("PUT /s", "a\nb\r\n"),
        request("PUT /c", "ab\ncd\n"),
        request("GET /next", ""),
    ];
    assert_eq!(whole(&stream), wanted);
    assert_eq!(bytewise(&stream), wanted);
}

#[test]
fn nothing_is_served_after_a_rejected_request() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET /?x=<y> HTTP/1.1\r\nHost: h\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
    ] {
        let stream = format!("{GET}{head}{GET}");
        let all = whole(&stream);
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(matches!(all[1], Seen::Rejected(_)), "{all:?}");
        assert_eq!(bytewise(&stream), all);
    }
}

/// hyper accepts leading zeros, which could hide a length from a parser with a digit limit.
#[test]
fn numbers_with_many_zeros_are_rejected() {
    let zeros = "0".repeat(96);
    let sized = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {zeros}5\r\n\r\n12345");
    let two_hosts = "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    let all = whole(&format!("{sized}{two_hosts}"));
    assert_eq!(all, [Seen::Rejected(FramingError::ContentLength)]);
    let chunked = format!(
        "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
         {zeros}5\r\n12345\r\n0\r\n\r\n"
    );
    let all = whole(&format!("{chunked}{two_hosts}"));
    assert_eq!(all, [Seen::BodyBroken("PUT /c".to_owned())]);
}

#[test]
fn requests_that_end_early_are_not_complete() {
    let cut_short = [Seen::Rejected(FramingError::HeadCutShort)];
    assert_eq!(whole("GET / HT"), cut_short);
    assert_eq!(bytewise("GET / HTTP/1.1\r\nHost: h\r\n"), cut_short);
    assert_eq!(whole("\r\n\r\n"), []);
    let sized = "PUT /s HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n1234";
    let broken = [Seen::BodyBroken("PUT /s".to_owned())];
    assert_eq!(whole(sized), broken);
    assert_eq!(bytewise(sized), broken);
}

#[test]
fn too_large_head_is_rejected_before_its_end() {
    let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(HEAD_BYTES));
    let too_large = [Seen::Rejected(FramingError::HeadTooLarge)];
    assert_eq!(whole(&long), too_large);
    assert_eq!(bytewise(&long), too_large);
    let target = format!("GET /{}", "y".repeat(HEAD_BYTES));
    assert_eq!(
        bytewise(&target),
        [Seen::Rejected(FramingError::TargetTooLong)]
    );
}

/// Returns parts of streams, valid and invalid.
fn part() -> impl Strategy<Value = String> {
    let lines = vec(
        prop_oneof![
            4 => Just("Host: h\r\n"),
            1 => Just("Host: a b\r\n"),
            1 => Just("host:\r\n"),
            3 => Just("Content-Length: 5\r\n"),
            1 => Just("Content-Length: 0000000000000000000000000000000000000000005\r\n"),
            1 => Just("Content-Length: 5, 5\r\n"),
            1 => Just("Content-Length : 5\r\n"),
            1 => Just("Content-Length:\t5 \r\n"),
            1 => Just("Content-Length: 18446744073709551615\r\n"),
            3 => Just("Transfer-Encoding: chunked\r\n"),
            1 => Just("Transfer-Encoding: gzip, chunked\r\n"),
            1 => Just("Transfer-Encoding:\u{b}chunked\r\n"),
            1 => Just("Transfer-Encoding: chunked\r\n folded\r\n"),
            1 => Just("Expect: 100-continue\r\n"),
            1 => Just("Connection: close\r\n"),
            1 => Just("Connection: Upgrade\r\nUpgrade: h2c\r\n"),
            1 => Just("TE: trailers\r\n"),
            1 => Just("X: y\n"),
            1 => Just("X: y\rz\r\n"),
        ],
        0..4,
    );
    let line = prop_oneof![
        4 => Just("GET /a HTTP/1.1\r\n"),
        4 => Just("PUT /b HTTP/1.1\r\n"),
        1 => Just("PUT /b HTTP/1.0\r\n"),
        1 => Just("HEAD http://o/p HTTP/1.1\r\n"),
        1 => Just("CONNECT h:80 HTTP/1.1\r\n"),
        1 => Just("OPTIONS * HTTP/1.1\r\n"),
        1 => Just("GET /?<> HTTP/1.1\r\n"),
        1 => Just("GET  /a HTTP/1.1\r\n"),
        1 => Just("GET /a HTTP/1.1\n"),
        1 => Just("\r\n\nGET /a HTTP/1.1\r\n"),
    ];
    let body = prop_oneof![
        4 => Just(""),
        4 => Just("12345"),
        4 => Just("5\r\n12345\r\n0\r\n\r\n"),
        1 => Just("5 ;x=y\r\n12345\r\n0\r\nT: u\r\n\r\n"),
        1 => Just("00000000000000000000000000005\r\n12345\r\n0\r\n\r\n"),
        1 => Just("5\n12345\r\n0\r\n\r\n"),
        1 => Just("0\r\nT: u\n\nGET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"),
    ];
    (line, any::<bool>(), lines, body).prop_map(|(line, has_host, lines, body)| {
        let host = if has_host { "Host: h\r\n" } else { "" };
        format!("{line}{host}{}\r\n{body}", lines.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// The streams include some with changed, lost and inserted bytes.
    #[test]
    fn hyper_and_the_framing_agree_on_every_stream(
        parts in vec(part(), 1..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..3),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut stream = parts.concat().into_bytes();
        for (at, byte, change) in changes {
            let at = at.index(stream.len());
            match change {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ => drop(stream.remove(at)),
            }
            if stream.is_empty() {
                return Ok(());
            }
        }
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        ends.extend([0, stream.len()]);
        ends.sort_unstable();
        let pieces = ends.windows(2).map(|ends| stream[ends[0]..ends[1]].to_vec());
        let all = seen([stream.clone()]);
        prop_assert_eq!(&all, &seen(pieces), "in pieces");
        prop_assert_eq!(&all, &seen(stream.iter().map(|byte| vec![*byte])), "byte by byte");
    }
}
