//! Requests whose end two servers in a row could determine differently (request smuggling, RFC
//! 9112 section 11.2), and requests without a valid end.

use super::{assert_alive, assert_only};
use crate::support::PATIENCE;
use crate::support::server::{Server, Setup};

/// A hidden request in the body of another one. It must not be served.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Closed without a response.
const CLOSED: u16 = 0;

/// A request and its allowed responses.
struct Case {
    name: &'static str,
    request: String,
    allowed: &'static [u16],
}

fn case(name: &'static str, request: impl Into<String>, allowed: &'static [u16]) -> Case {
    Case {
        name,
        request: request.into(),
        allowed,
    }
}

/// Returns an upload with these header lines for its length.
fn post(lines: &str, body: &str) -> String {
    format!(
        "POST /v1/images HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: application/octet-stream\r\nx-image-meta-disk_format: raw\r\n\
         x-image-meta-container_format: bare\r\n{lines}\r\n{body}"
    )
}

fn get(head_lines: &str) -> String {
    format!("GET /v1/images HTTP/1.1\r\n{head_lines}\r\n{SMUGGLED}")
}

/// Sends the request and reads to the end of the stream. Asserts that there is at most one
/// response, and that it is allowed.
fn check(node: &Server, case: &Case) {
    let name = case.name;
    let mut wire = node.connect();
    // Writing fails if the server has closed the connection already.
    let _ = wire.send_bytes(case.request.as_bytes());
    let sent = wire.until_closed(PATIENCE);
    let sent = sent.unwrap_or_else(|error| panic!("{name}: not closed: {error}"));
    let text = String::from_utf8_lossy(&sent).into_owned();
    assert!(
        count_answers(&sent) <= 1,
        "{name}: more than one answer: {text}"
    );
    let status = match text.get(9..12) {
        Some(code) => code.parse().expect("a status"),
        None => CLOSED,
    };
    assert!(case.allowed.contains(&status), "{name}: {text:?}");
}

/// Returns the number of responses in the bytes of a connection.
fn count_answers(sent: &[u8]) -> usize {
    let is_start = |window: &&[u8]| window.starts_with(b"HTTP/1.1 ") && window[9].is_ascii_digit();
    sent.windows(10).filter(is_start).count()
}

fn check_all(cases: &[Case]) {
    let mut node = Setup::new().start();
    for case in cases {
        check(&node, case);
    }
    assert!(!node.log().contains("/smuggled"), "{}", node.log());
    assert_only(&node, &[]);
    assert_alive(&mut node);
}

#[test]
fn ambiguous_lengths_are_rejected() {
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    let sized = format!("abcd{SMUGGLED}");
    check_all(&[
        case(
            "Content-Length, then Transfer-Encoding",
            post(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                &chunked,
            ),
            &[400],
        ),
        case(
            "Transfer-Encoding, then Content-Length",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                &chunked,
            ),
            &[400],
        ),
        case(
            "two Content-Lengths that differ",
            post("Content-Length: 4\r\nContent-Length: 5\r\n", &sized),
            &[400],
        ),
        case(
            "the same Content-Length twice",
            post("Content-Length: 4\r\nContent-Length: 4\r\n", &sized),
            &[400],
        ),
        case(
            "a list of lengths",
            post("Content-Length: 4, 4\r\n", &sized),
            &[400],
        ),
        case(
            "a length with many zeros",
            post(&format!("Content-Length: {}4\r\n", "0".repeat(80)), &sized),
            &[400],
        ),
        case(
            "a blank before the colon",
            post("Content-Length : 4\r\n", &sized),
            &[400],
        ),
        case(
            "a vertical tab before the length",
            post("Content-Length: \u{b}4\r\n", &sized),
            &[400],
        ),
        case(
            "a length with a sign",
            post("Content-Length: +4\r\n", &sized),
            &[400],
        ),
        case(
            "a negative length",
            post("Content-Length: -4\r\n", &sized),
            &[400],
        ),
        case(
            "a hexadecimal length",
            post("Content-Length: 0x4\r\n", &sized),
            &[400],
        ),
        case(
            "an empty length",
            post("Content-Length: \r\n", &sized),
            &[400],
        ),
        case(
            "2^64",
            post("Content-Length: 18446744073709551616\r\n", &sized),
            &[400, 413, 431],
        ),
        case(
            "2^64-1",
            post("Content-Length: 18446744073709551615\r\n", &sized),
            &[400, 413, 431],
        ),
        case(
            "2^63, refused before a byte of it is read",
            post("Content-Length: 9223372036854775808\r\n", &sized),
            &[400, 413],
        ),
    ]);
}

#[test]
fn transfer_encodings_other_than_chunked_are_rejected() {
    let chunked = format!("0\r\n\r\n{SMUGGLED}");
    let long_blank = " ".repeat(120);
    check_all(&[
        case(
            "gzip, chunked",
            post("Transfer-Encoding: gzip, chunked\r\n", &chunked),
            &[400, 501],
        ),
        case(
            "gzip",
            post("Transfer-Encoding: gzip\r\n", &chunked),
            &[400, 501],
        ),
        case(
            "identity",
            post("Transfer-Encoding: identity\r\n", &chunked),
            &[400, 501],
        ),
        case(
            "chunked twice",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                &chunked,
            ),
            &[400],
        ),
        case(
            "chunked, then something unknown",
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
                &chunked,
            ),
            &[400, 501],
        ),
        case(
            "a vertical tab before chunked",
            post("Transfer-Encoding: \u{b}chunked\r\n", &chunked),
            &[400, 501],
        ),
        case(
            "chunked behind many blanks, and a length",
            post(
                &format!("Transfer-Encoding:{long_blank}chunked\r\nContent-Length: 5\r\n"),
                &chunked,
            ),
            &[400],
        ),
        case(
            "in HTTP/1.0",
            post("Transfer-Encoding: chunked\r\n", &chunked).replacen("HTTP/1.1", "HTTP/1.0", 1),
            &[400, 501],
        ),
    ]);
}

#[test]
fn malformed_heads_are_rejected() {
    let host = "Host: localhost\r\n";
    check_all(&[
        case("no Host", get(""), &[400]),
        case(
            "two Hosts",
            get("Host: localhost\r\nHost: other\r\n"),
            &[400],
        ),
        case(
            "the same Host twice",
            get("Host: localhost\r\nHost: localhost\r\n"),
            &[400],
        ),
        case(
            "a folded line",
            get(&format!("{host}X: a\r\n b\r\n")),
            &[400],
        ),
        case(
            "a blank before the colon",
            get(&format!("{host}X : a\r\n")),
            &[400],
        ),
        case(
            "a blank before a name",
            get(&format!(" X: a\r\n{host}")),
            &[400],
        ),
        case(
            "a NUL in a value",
            get(&format!("{host}X: a\0b\r\n")),
            &[400],
        ),
        case(
            "a carriage return in a value",
            get(&format!("{host}X: a\rb\r\n")),
            &[400],
        ),
        case(
            "a line without a colon",
            get(&format!("{host}nothing\r\n")),
            &[400],
        ),
        case("HTTP/0.9", "GET /v1/images\r\n\r\n", &[400]),
        case(
            "HTTP/3.0",
            get(host).replacen("HTTP/1.1", "HTTP/3.0", 1),
            &[400, 505],
        ),
        case(
            "no HTTP at all",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n",
            &[400],
        ),
        case(
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[CLOSED, 400, 505],
        ),
        case(
            "lines that end in bare line feeds",
            format!("GET /v1/images HTTP/1.1\nHost: localhost\n\n{SMUGGLED}"),
            &[400],
        ),
        case(
            "one line that ends in a bare line feed",
            get("Host: localhost\nX: y\r\n"),
            &[400],
        ),
        case(
            "a URL of another scheme as target",
            format!("GET ftp://other/v1/images HTTP/1.1\r\n{host}\r\n{SMUGGLED}"),
            &[400],
        ),
        case(
            "an authority as target",
            format!("GET other:80 HTTP/1.1\r\n{host}\r\n{SMUGGLED}"),
            &[400],
        ),
        case(
            "characters that no URL has",
            format!("GET /v1/images?x=<y> HTTP/1.1\r\n{host}\r\n{SMUGGLED}"),
            &[400],
        ),
        case(
            "CONNECT",
            "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            &[400, 405],
        ),
    ]);
}

#[test]
fn malformed_chunks_leave_no_data() {
    let chunked = |body: &str| post("Transfer-Encoding: chunked\r\n", body);
    let long = "x".repeat(200 * 1024);
    let zeros = "0".repeat(95);
    check_all(&[
        case(
            "a size with many zeros",
            chunked(&format!("{zeros}3\r\nabc\r\n0\r\n\r\n{SMUGGLED}")),
            &[400],
        ),
        case(
            "a chunk's size past 2^64",
            chunked("11111111111111111\r\nabc\r\n0\r\n\r\n"),
            &[400],
        ),
        case(
            "a size that is no number",
            chunked("zz\r\nabc\r\n0\r\n\r\n"),
            &[400],
        ),
        case(
            "a size with a sign",
            chunked("+3\r\nabc\r\n0\r\n\r\n"),
            &[400],
        ),
        case("no size", chunked("\r\nabc\r\n0\r\n\r\n"), &[400]),
        case(
            "a chunk longer than it says",
            chunked("3\r\nabcdef\r\n0\r\n\r\n"),
            &[400],
        ),
        case(
            "sizes that end in bare line feeds",
            chunked(&format!("3\nabc\n0\n\n{SMUGGLED}")),
            &[400],
        ),
        case(
            "an extension without end",
            chunked(&format!("3;{long}\r\nabc\r\n0\r\n\r\n")),
            &[400],
        ),
        case(
            "trailers without end",
            chunked(&format!("3\r\nabc\r\n0\r\nX: {long}\r\n\r\n")),
            &[400],
        ),
    ]);
}

/// Parsers disagree about whether a blank line in bare line feeds ends the trailers. The head that
/// follows must not replace the one that is validated next.
#[test]
fn trailers_cannot_hide_a_head_from_validation() {
    let node = Setup::new().start();
    let mut wire = node.connect();
    let hidden = post(
        "Transfer-Encoding: chunked\r\n",
        &format!("3\r\nabc\r\n0\r\nX: y\n\n{SMUGGLED}"),
    );
    // A request without Host must be rejected, whatever preceded it on the connection.
    let judged = "GET /v1/images/judged HTTP/1.1\r\n\r\n";
    wire.send_bytes(hidden.as_bytes()).expect("sent");
    let _ = wire.send_bytes(judged.as_bytes());
    let sent = wire.until_closed(PATIENCE).expect("closed");
    let text = String::from_utf8_lossy(&sent).into_owned();
    for status in ["200", "300", "404"] {
        let served = format!("HTTP/1.1 {status}");
        assert!(!text.contains(&served), "{text}");
    }
}

/// Valid requests are served, many per connection.
#[test]
fn pipelined_requests_are_answered_in_order() {
    let node = Setup::new().start();
    let mut wire = node.connect();
    let upload = post(
        "Transfer-Encoding: chunked\r\n",
        "3;ext=1\r\nabc\r\n0\r\nX: y\r\n\r\n",
    );
    let sized = post("Content-Length: 4\r\n", "a\n\rb");
    let list = "GET /v1/images HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let all = format!("{upload}\r\n{sized}{list}{upload}");
    wire.send_bytes(all.as_bytes()).expect("sent");
    for (method, status) in [("POST", 201), ("POST", 201), ("GET", 200), ("POST", 201)] {
        let answer = wire.read_response(method).expect("an answer");
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    assert_eq!(node.stored_files().len(), 3);
}

/// A client that closes its sending side after the request is served, and then disconnected.
#[test]
fn half_closed_connections_are_answered_and_closed() {
    let node = Setup::new().start();
    let mut wire = node.connect();
    wire.send_bytes(b"GET /v1/images HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("sent");
    wire.finish_sending().expect("half closed");
    let sent = wire.until_closed(PATIENCE).expect("closed");
    assert_eq!(count_answers(&sent), 1);
}
