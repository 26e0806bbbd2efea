//! The scripted origin follows its script, and records the requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::eventually;
use crate::support::http::{Connection, Request, Response};
use crate::support::md5_hex;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;

/// A size of several chunks and a remainder.
const SIZE_BYTES: u64 = 300_000;

fn content() -> Content {
    Content::new(7, SIZE_BYTES)
}

fn get() -> Request {
    Request::get("/image")
}

fn range(value: &str) -> Request {
    get().header("Range", value)
}

fn connect(origin: &Origin) -> Connection {
    Connection::open(origin.address()).expect("a connection")
}

fn ask(origin: &Origin, request: &Request) -> Response {
    connect(origin).request(request)
}

/// Returns the `Content-Length` of the head, and the bytes until the connection ends.
fn raw(origin: &Origin, request: &Request) -> (Option<u64>, Vec<u8>) {
    let mut connection = connect(origin);
    connection.send(request).expect("sent");
    let head = connection.read_head().expect("a head");
    let length = head.header("content-length");
    let length = length.map(|length| length.parse().expect("a length"));
    (length, connection.read_to_end().expect("an end"))
}

#[test]
fn faultless_origin_answers_correctly() {
    let origin = Origin::honest(content());
    let all = origin.content.all();
    assert_eq!(origin.content.md5_hex(), md5_hex(&all));
    let mut connection = connect(&origin);
    let head = connection.request(&Request::head("/image")).expect(200);
    assert_eq!(head.header("content-length"), Some("300000"));
    assert!(connection.request(&get()).expect(200).body == all);
    assert_eq!(origin.times_sent(), (1, 1));
    let part = connection.request(&range("bytes=65530-65545")).expect(206);
    assert_eq!(part.body, all[65_530..=65_545]);
    let content_range = part.header("content-range");
    assert_eq!(content_range, Some("bytes 65530-65545/300000"));
    let end = connection.request(&range("bytes=-5")).expect(206);
    assert_eq!(end.body, all[299_995..]);
    connection.request(&range("bytes=300000-")).expect(416);
    assert_eq!(origin.times_sent(), (1, 2));
    assert_eq!(origin.sent_bytes(), SIZE_BYTES + 16 + 5);
    assert_eq!((origin.count("GET"), origin.count("HEAD")), (4, 1));
    assert!(origin.seen().iter().all(|seen| seen.connection == 0));
}

#[test]
fn preconditions_follow_the_etag() {
    let origin = Origin::start(content(), |seen| match seen.turn {
        0 => Answer::whole(),
        _ => Answer::whole().etag("\"second\""),
    });
    let first = ask(&origin, &get()).expect(200);
    let etag = first.header("etag").expect("an ETag").to_owned();
    ask(&origin, &range("bytes=9-").header("If-Match", &etag)).expect(412);
    let changed = ask(&origin, &range("bytes=9-").header("If-Range", &etag)).expect(200);
    assert_eq!(changed.header("etag"), Some("\"second\""));
    ask(&origin, &range("bytes=9-").header("If-Match", "\"second\"")).expect(206);
}

#[test]
fn cuts_are_at_the_byte() {
    for framing in [Answer::whole, || Answer::whole().chunked()] {
        let origin = Origin::start(content(), move |_| framing().cut_after(70_000));
        let mut connection = connect(&origin);
        connection.exchange(&get()).expect_err("a cut");
        assert_eq!(origin.seen()[0].sent, 0..70_000);
    }
    let origin = Origin::start(content(), |seen| match seen.turn {
        0 => Answer::whole().cut_after(70_000),
        _ => Answer::whole(),
    });
    let (length, bytes) = raw(&origin, &get());
    assert_eq!((length, bytes.len()), (Some(SIZE_BYTES), 70_000));
    assert!(origin.content.has(0, &bytes));
    let rest = ask(&origin, &range("bytes=70000-")).expect(206);
    assert!(origin.content.has(70_000, &rest.body));
    assert!(!origin.content.has(69_999, &rest.body));
    assert_eq!(origin.times_sent(), (1, 1));
}

#[test]
fn a_reset_is_not_an_end() {
    let origin = Origin::start(content(), |_| Answer::whole().reset_after(10));
    let error = connect(&origin).exchange(&get()).expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn wrong_content_lengths_are_sent() {
    let origin = Origin::start(content(), |seen| {
        Answer::whole().claims_length(if seen.turn == 0 { 10 } else { 400_000 })
    });
    for claimed in [10, 400_000] {
        let (length, bytes) = raw(&origin, &get());
        assert_eq!(length, Some(claimed));
        assert!(bytes.len() as u64 == SIZE_BYTES && origin.content.has(0, &bytes));
    }
}

#[test]
fn bodies_without_a_length_are_sent() {
    let origin = Origin::start(content(), |seen| match seen.turn {
        0 => Answer::whole().chunked(),
        _ => Answer::whole().until_close(),
    });
    for _ in 0..2 {
        let answer = ask(&origin, &get()).expect(200);
        assert_eq!(answer.header("content-length"), None);
        assert!(answer.body == origin.content.all());
    }
}

#[test]
fn one_byte_is_changed() {
    let origin = Origin::start(content(), |_| Answer::whole().wrong_at(123_456));
    let wrong = ask(&origin, &get()).expect(200).body;
    let right = origin.content.all();
    let differ = |at: &usize| wrong[*at] != right[*at];
    assert_eq!(
        (0..right.len()).filter(differ).collect::<Vec<_>>(),
        [123_456]
    );
    // In a range the byte has another position in the body.
    let part = ask(&origin, &range("bytes=123456-123456")).expect(206);
    assert_ne!(part.body[0], right[123_456]);
}

#[test]
fn ranges_are_ignored_or_shifted() {
    let origin = Origin::start(content(), |seen| match seen.turn {
        0 => Answer::whole().ignores_ranges(),
        _ => Answer::whole().answers_from(5),
    });
    assert!(ask(&origin, &range("bytes=9-")).expect(200).body == origin.content.all());
    let shifted = ask(&origin, &range("bytes=9-")).expect(206);
    assert_eq!(
        shifted.header("content-range"),
        Some("bytes 5-299999/300000")
    );
    assert!(origin.content.has(5, &shifted.body));
}

#[test]
fn pauses_and_rates_are_kept() {
    let pause = Duration::from_millis(300);
    // The eleventh pause follows the last byte.
    let origin = Origin::start(Content::new(1, 11), move |seen| match seen.turn {
        0 => Answer::whole().pause_after(5, pause),
        _ => Answer::whole().slowly(1, pause / 10),
    });
    for _ in 0..2 {
        let began = Instant::now();
        assert_eq!(ask(&origin, &get()).expect(200).body, origin.content.all());
        assert!(began.elapsed() >= pause);
    }
}

#[test]
fn a_hang_lasts_until_the_client_goes() {
    let origin = Origin::start(content(), |_| Answer::whole().hang_after(100));
    let mut connection = connect(&origin);
    connection.send(&get()).expect("sent");
    connection.read_head().expect("a head");
    connection.read_bytes(100).expect("the bytes before");
    assert!(
        connection
            .is_silent_for(Duration::from_millis(200))
            .expect("open")
    );
    assert_eq!(origin.open_connections(), 1);
    drop(connection);
    eventually("the end of the connection", || {
        (origin.open_connections() == 0).then_some(())
    });
}

#[test]
fn endless_body_continues_after_the_content() {
    let origin = Origin::start(content(), |_| Answer::whole().endless().until_close());
    let mut connection = connect(&origin);
    connection.send(&get()).expect("sent");
    connection.read_head().expect("a head");
    let bytes = connection
        .read_bytes(3_000_000)
        .expect("more than there is");
    assert!(origin.content.has(0, &bytes));
    drop(connection);
    eventually("the end of the connection", || {
        (origin.open_connections() == 0).then_some(())
    });
}

#[test]
fn statuses_and_headers_are_scripted() {
    let origin = Origin::start(content(), |seen| match (seen.method.as_str(), seen.turn) {
        ("HEAD", _) => Answer::status(405),
        (_, 0) => Answer::redirect("http://127.0.0.1:1/elsewhere"),
        (_, 1) => Answer::status(500),
        _ => Answer::whole().gzip(),
    });
    ask(&origin, &Request::head("/")).expect(405);
    let redirect = ask(&origin, &get()).expect(302);
    let location = redirect.header("location");
    assert_eq!(location, Some("http://127.0.0.1:1/elsewhere"));
    ask(&origin, &get()).expect(500);
    let gzip = ask(&origin, &get()).expect(200);
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert_eq!(origin.times_sent(), (1, 1));
}

#[test]
fn large_content_is_generated_without_memory() {
    let origin = Origin::honest(Content::new(3, 1 << 40));
    let part = ask(&origin, &range("bytes=1099511627766-")).expect(206);
    let end = origin.content.size_bytes;
    assert_eq!(part.body, origin.content.bytes(end - 10..end));
}

#[test]
fn tls_connection_can_end_without_close_notify() {
    let origin = Origin::start_tls(content(), |seen| match seen.turn {
        0 => Answer::whole().until_close(),
        _ => Answer::whole().until_close().cut_after(1000),
    });
    let mut answer = Vec::new();
    let whole = tls(&origin).read_to_end(&mut answer);
    whole.expect("an end that is told");
    assert!(answer.ends_with(&origin.content.all()));
    let cut = tls(&origin).read_to_end(&mut Vec::new());
    let cut = cut.expect_err("an end that is not told");
    assert_eq!(cut.kind(), std::io::ErrorKind::UnexpectedEof);
}

/// A request over TLS that trusts the origin's authority alone.
fn tls(origin: &Origin) -> impl Read {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(origin.ca_file());
    roots
        .add(authority.expect("a certificate"))
        .expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("versions of TLS");
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = "127.0.0.1".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("settings of TLS");
    let tcp = TcpStream::connect(origin.address()).expect("a connection");
    let mut stream = StreamOwned::new(connection, tcp);
    stream.write_all(&get().head_bytes()).expect("sent");
    stream
}
