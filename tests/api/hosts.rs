//! The Host header and absolute targets, and the URLs in responses that they determine.

use crate::support::http::{Connection, Response};
use crate::support::server::Server;

/// Sends a head unchanged.
fn ask(server: &Server, head: &str) -> (Connection, Response) {
    let mut connection = server.connect();
    connection.send_bytes(head.as_bytes()).expect("sent");
    let method = head.split(' ').next().expect("a method");
    let answer = connection.read_response(method).expect("an answer");
    (connection, answer)
}

fn location(server: &Server, head: &str) -> String {
    let (_, answer) = ask(server, head);
    let answer = answer.expect(201);
    let location = answer.header("location").expect("a location");
    let (base, _) = location.split_once("/v1/images/").expect("an image");
    base.to_owned()
}

#[test]
fn urls_name_the_server_address_without_a_host() {
    let server = Server::shared();
    let own = format!("http://{}", server.address());
    for head in [
        "POST /v1/images HTTP/1.0\r\n\r\n",
        "POST /v1/images HTTP/1.0\r\nHost:\r\n\r\n",
        "POST /v1/images HTTP/1.1\r\nHost:\r\n\r\n",
    ] {
        assert_eq!(location(server, head), own, "{head:?}");
    }
}

#[test]
fn invalid_host_is_refused_and_not_echoed() {
    let server = Server::shared();
    for host in [
        "a b",
        "h:80:80",
        "h:99999",
        "u@h",
        "h/x",
        "x%0d%0ay",
        "\"><script>",
        "[::1",
    ] {
        for method in ["GET", "HEAD", "POST"] {
            for version in ["1.0", "1.1"] {
                let head = format!("{method} /v1/images HTTP/{version}\r\nHost: {host}\r\n\r\n");
                let (mut connection, answer) = ask(server, &head);
                let answer = answer.expect(400);
                assert!(!answer.text().contains(host), "{}", answer.text());
                assert_eq!(answer.header("connection"), Some("close"), "{head:?}");
                assert!(connection.is_closed_by_server());
            }
        }
    }
    // On the fast path too.
    let id = server.reserve();
    let head = format!("HEAD /v1/images/{id} HTTP/1.1\r\nHost: a b\r\n\r\n");
    ask(server, &head).1.expect(400);
}

#[test]
fn valid_hosts_are_accepted() {
    let server = Server::shared();
    for host in ["h", "h:80", "192.0.2.1:9292", "[2001:db8::1]:9292", "a_b.c"] {
        let head = format!("POST /v1/images HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(location(server, &head), format!("http://{host}"));
    }
}

/// A proxy's client sends the whole URL (RFC 9112, 3.2.2). Its authority replaces Host.
#[test]
fn absolute_targets_are_accepted() {
    let server = Server::shared();
    let head = "POST http://asked:81/v1/images HTTP/1.1\r\nHost: other\r\n\r\n";
    assert_eq!(location(server, head), "http://asked:81");
    let id = server.upload(&[], b"data");
    let head = format!("GET http://asked/v1/images/{id}?x=y HTTP/1.1\r\nHost: other\r\n\r\n");
    let (mut connection, answer) = ask(server, &head);
    assert_eq!(answer.expect(200).body, b"data");
    let head = format!("HEAD HTTP://asked/v1/images/{id} HTTP/1.1\r\nHost: asked\r\n\r\n");
    connection.send_bytes(head.as_bytes()).expect("sent");
    connection.read_response("HEAD").expect("kept").expect(200);
    ask(server, "GET http://asked HTTP/1.1\r\nHost: asked\r\n\r\n")
        .1
        .expect(300);
    server.expect_log("http://asked:81/v1/images");
}

#[test]
fn other_targets_are_refused() {
    let server = Server::shared();
    for (head, status) in [
        ("GET ftp://h/v1/images HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (
            "GET http://u:p@h/v1/images HTTP/1.1\r\nHost: h\r\n\r\n",
            400,
        ),
        ("GET http://h:x/v1/images HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET http:///v1/images HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        // HTTP/1.1 requires Host nevertheless.
        ("GET http://h/v1/images HTTP/1.1\r\n\r\n", 400),
        ("GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 405),
    ] {
        let answer = ask(server, head).1;
        assert_eq!(answer.status, status, "{head:?}: {}", answer.text());
    }
}
