//! Half-closed connections: clients that shut down their sending side after the request and wait
//! for the response (RFC 9112, 9.6).

use std::time::Duration;

use crate::support::eventually;
use crate::support::http::{Connection, Request, chunk_bytes};
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, image_path, post, post_data};

/// Sends these bytes and shuts down the client's sending side.
fn send_all(server: &Server, bytes: &[u8]) -> Connection {
    let mut connection = server.connect();
    connection.send_bytes(bytes).expect("sent");
    connection.finish_sending().expect("half closed");
    connection
}

fn bytes_of(request: &Request, body: &[u8]) -> Vec<u8> {
    [request.head_bytes(), body.to_vec()].concat()
}

/// Waits for the log line of a request.
fn expect_line(server: &Server, request: &str, status: u16) {
    let status = format!("status={status}");
    eventually(&format!("a line about {request}"), || {
        let log = server.log();
        let mut lines = log.lines();
        lines
            .any(|line| line.contains(request) && line.contains(&status))
            .then_some(())
    });
}

#[test]
fn half_closed_requests_get_responses_and_log_lines() {
    let server = Server::shared();
    for _ in 0..10 {
        let id = uuid::Uuid::new_v4().to_string();
        let path = image_path(&id);
        let upload = post_data(&[("x-image-meta-id", &id)], b"some data");
        let mut connection = send_all(server, &bytes_of(&upload, b"some data"));
        connection.read_response("POST").unwrap().expect(201);
        assert!(connection.is_closed_by_server());

        let mut connection = send_all(server, &Request::get(&path).head_bytes());
        let got = connection.read_response("GET").unwrap().expect(200);
        assert_eq!(got.body, b"some data");
        let mut connection = send_all(server, &Request::head(&path).head_bytes());
        connection.read_response("HEAD").unwrap().expect(200);
        let update = Request::put(&path).header("x-image-meta-name", "n");
        let mut connection = send_all(server, &update.head_bytes());
        connection.read_response("PUT").unwrap().expect(200);
        let mut connection = send_all(server, &Request::delete(&path).head_bytes());
        connection.read_response("DELETE").unwrap().expect(200);
        assert!(connection.is_closed_by_server());
        for request in ["GET", "HEAD", "PUT", "DELETE"] {
            expect_line(server, &format!("{request} {path} "), 200);
        }
    }
}

#[test]
fn half_closed_pipelined_requests_get_responses() {
    let server = Server::shared();
    let id = server.upload(&[], b"some data");
    let get = Request::get(&image_path(&id)).head_bytes();
    let upload = bytes_of(&post_data(&[], b"more"), b"more");
    let mut connection = send_all(server, &[get.clone(), upload, get].concat());
    assert_eq!(connection.read_response("GET").unwrap().body, b"some data");
    connection.read_response("POST").unwrap().expect(201);
    assert_eq!(connection.read_response("GET").unwrap().body, b"some data");
    assert!(connection.is_closed_by_server());
}

#[test]
fn upload_that_ends_early_gets_an_error_response() {
    let server = Server::shared();
    for chunked in [false, true] {
        let id = uuid::Uuid::new_v4().to_string();
        let head = post(RAW).headers(&[OCTETS, ("x-image-meta-id", &id)]);
        let (head, part) = match chunked {
            true => (head.announce_chunks(), chunk_bytes(b"part")),
            false => (head.announce(5), b"part".to_vec()),
        };
        let mut connection = send_all(server, &bytes_of(&head, &part));
        let answer = connection.read_response("POST").unwrap().expect(400);
        assert_eq!(answer.header("connection"), Some("close"));
        eventually("it is killed", || {
            (server.status_of(&id) == "killed").then_some(())
        });
    }
}

/// A client that disconnects ends its download, even while the server cannot send.
#[test]
fn reset_ends_a_download() {
    let server = Setup::new().start();
    let id = server.upload(&[], &crate::support::pattern(32 << 20, 5));
    let under_way = |count: usize| {
        let line = format!("transfers_in_flight{{direction=\"download\"}} {count}");
        eventually(&line, || server.metrics().contains(&line).then_some(()));
    };
    let mut reader = send_all(&server, &Request::get(&image_path(&id)).head_bytes());
    assert_eq!(reader.read_head().unwrap().status, 200);
    under_way(1);
    // The half-close has not ended the download.
    std::thread::sleep(Duration::from_millis(300));
    under_way(1);
    // Unread data make the kernel reset the connection.
    drop(reader);
    under_way(0);
    expect_line(&server, &format!("GET {} ", image_path(&id)), 200);
}

/// A change whose client disconnects before the response is still logged.
#[test]
fn change_is_logged_after_its_client_disconnects() {
    let server = Setup::new().start();
    for _ in 0..20 {
        let id = server.reserve();
        let path = image_path(&id);
        let mut connection = server.connect();
        // The response of this one stays unread, which resets the connection.
        connection.send(&Request::get("/v1/images")).unwrap();
        connection.send(&Request::delete(&path)).unwrap();
        eventually("it is deleted or was not read", || {
            let log = server.log();
            log.contains("GET /v1/images ").then_some(())
        });
        drop(connection);
        // Executed and logged, or neither.
        eventually("the line of what was done", || {
            let is_gone = server.head(&id).header("x-image-meta-deleted") == Some("True");
            let is_logged = server.log().contains(&format!("DELETE {path} "));
            (is_gone == is_logged).then_some(())
        });
    }
}
