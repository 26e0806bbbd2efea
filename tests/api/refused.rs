//! Malformed requests, which are refused before any API sees them: each has a request id, a log
//! line and a metric, like every other.

use std::time::Duration;

use crate::support::eventually;
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};

fn ask(server: &Server, bytes: &[u8]) -> Response {
    let mut connection = server.connect();
    // A server that has closed the connection has responded already.
    let _ = connection.send_bytes(bytes);
    let method = if bytes.starts_with(b"HEAD") {
        "HEAD"
    } else {
        "GET"
    };
    let answer = connection.read_response(method).expect("an answer");
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(connection.is_closed_by_server());
    answer
}

fn counted(server: &Server) -> u64 {
    let metrics = server.metrics();
    let refused = metrics
        .lines()
        .filter(|line| line.starts_with("glance_http_requests_total{"))
        .filter(|line| line.contains("\"refused\""));
    let count = |line: &str| {
        line.rsplit(' ')
            .next()
            .and_then(|word| word.parse::<u64>().ok())
    };
    refused.filter_map(count).sum::<u64>()
}

#[test]
fn refused_requests_have_id_log_line_and_metric() {
    let server = Setup::new().option("client_socket_timeout", 1).start();
    let long = "y".repeat(70_000);
    let headers: String = (0..300).map(|n| format!("X{n}: y\r\n")).collect();
    let host = "Host: h\r\n";
    let cases = [
        (
            format!("GET /v1/images?x=<y> HTTP/1.1\r\n{host}\r\n"),
            400,
            "GET /v1/images?x=<y> HTTP/1.1",
        ),
        (
            format!("HEAD /v1/images?x=<z> HTTP/1.1\r\n{host}\r\n"),
            400,
            "HEAD /v1/images?x=<z> HTTP/1.1",
        ),
        (
            "GET /no/host HTTP/1.1\r\n\r\n".to_owned(),
            400,
            "GET /no/host HTTP/1.1",
        ),
        (
            format!("GET /blank HTTP/1.1\r\n{host}X : y\r\n\r\n"),
            400,
            "GET /blank HTTP/1.1",
        ),
        (
            format!("PUT /te HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n"),
            400,
            "PUT /te HTTP/1.1",
        ),
        (
            format!("GET /many HTTP/1.1\r\n{host}{headers}\r\n"),
            431,
            "GET /many HTTP/1.1",
        ),
        (
            format!("GET /large HTTP/1.1\r\n{host}X: {long}\r\n\r\n"),
            431,
            "GET /large HTTP/1.1",
        ),
        (
            format!("GET /{long} HTTP/1.1\r\n{host}\r\n"),
            414,
            "GET /yyyyyy",
        ),
        (
            format!("GET /three HTTP/3.0\r\n{host}\r\n"),
            505,
            "GET /three HTTP/3.0",
        ),
        (
            format!("GET /slow HTTP/1.1\r\n{host}"),
            408,
            "GET /slow HTTP/1.1",
        ),
        (
            "\u{16}\u{3}\u{1}\u{2}\0tls\r\n\r\n".to_owned(),
            400,
            r"\x16\x03\x01\x02\x00tls",
        ),
    ];
    for (position, (bytes, status, line)) in cases.iter().enumerate() {
        let answer = ask(&server, bytes.as_bytes());
        assert_eq!(answer.status, *status, "{line}: {}", answer.text());
        let id = answer.header("x-openstack-request-id").expect("an id");
        let id = id.to_owned();
        let logged = eventually("its line", || {
            let log = server.log();
            log.lines()
                .find(|line| line.contains(&id))
                .map(str::to_owned)
        });
        let status = format!("status={status}");
        assert!(
            logged.contains(line) && logged.contains(&status),
            "{logged}"
        );
        assert!(logged.len() < 2000, "{logged}");
        let wanted = position as u64 + 1;
        eventually("its count", || (counted(&server) == wanted).then_some(()));
    }
    // A truncated head gets a response too.
    let mut connection = server.connect();
    connection.send_bytes(b"GET /short HTTP/1.1\r\nHo").unwrap();
    connection.finish_sending().unwrap();
    connection.read_response("GET").unwrap().expect(400);
}

#[test]
fn error_format_of_refusals_follows_accept() {
    let server = Server::shared();
    for (accept, content_type) in [
        ("application/json", "application/json"),
        ("text/html", "text/html; charset=UTF-8"),
    ] {
        let head = format!("GET /?<> HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\n\r\n");
        let answer = ask(server, head.as_bytes()).expect(400);
        assert_eq!(answer.header("content-type"), Some(content_type));
    }
    let head = "HEAD /?<> HTTP/1.1\r\nHost: h\r\n\r\n";
    assert!(ask(server, head.as_bytes()).expect(400).body.is_empty());
}

/// A refusal before the body has arrived states that the connection closes.
#[test]
fn closing_responses_state_connection_close() {
    let server = Server::shared();
    let upload = Request::post("/v1/images").header("x-image-meta-sice", "1");
    let mut connection = server.connect();
    connection
        .send_head(&upload.clone().announce(1 << 20))
        .unwrap();
    connection.send_bytes(&[0; 1000]).unwrap();
    let answer = connection.read_response("POST").unwrap().expect(400);
    assert_eq!(answer.header("connection"), Some("close"));
    let mut connection = server.connect();
    let answer = connection.request(&upload.body([0; 1000])).expect(400);
    assert_eq!(answer.header("connection"), None, "its body is here");
    connection.request(&Request::get("/v1/images")).expect(200);
}

/// The time limit of a head starts at its first byte: an idle connection is closed without a
/// response.
#[test]
fn idle_connection_gets_no_408() {
    let server = Setup::new().option("client_socket_timeout", 1).start();
    let mut connection = server.connect();
    connection.request(&Request::get("/v1/images")).expect(200);
    let sent = connection.until_closed(Duration::from_secs(30)).unwrap();
    assert_eq!(sent, b"");
}
