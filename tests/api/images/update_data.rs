//! `PUT /v1/images/{id}` with data for a reserved image.

use serde_json::json;

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, image_of, image_path, put, put_data};
use crate::support::{md5_hex, pattern};

#[test]
fn reservation_gets_data() {
    let server = Server::shared();
    let id = server.reserve();
    let data = pattern(54_321, 1);
    let answer = server.request(&put_data(&id, &[], &data)).expect(200);
    let image = image_of(&answer);
    let sum = md5_hex(&data);
    assert_eq!(
        (&image["status"], &image["checksum"]),
        (&json!("active"), &json!(sum))
    );
    assert_eq!(answer.header("etag"), Some(sum.as_str()));
    assert!(server.download(&id).expect(200).body == data);
}

#[test]
fn reservation_gets_chunked_data() {
    let server = Server::shared();
    let id = server.reserve();
    let data = pattern(54_321, 2);
    let request = put(&id, &[OCTETS]).chunked(data.chunks(5000));
    server.request(&request).expect(200);
    assert!(server.download(&id).expect(200).body == data);
}

#[test]
fn formats_may_come_with_data() {
    let server = Server::shared();
    let id = server.create(&[]);
    server.request(&put_data(&id, &[], b"data")).expect(400);
    assert_eq!(server.status_of(&id), "queued");
    server.request(&put_data(&id, RAW, b"data")).expect(200);
    assert_eq!(server.status_of(&id), "active");
}

#[test]
fn statements_of_reservation_are_checked() {
    let server = Server::shared();
    let sum = md5_hex(b"other");
    for stated in [
        ("x-image-meta-size", "5"),
        ("x-image-meta-checksum", sum.as_str()),
    ] {
        let id = server.create(&[RAW[0], RAW[1], stated]);
        server.request(&put_data(&id, &[], b"data")).expect(400);
        assert_eq!(server.status_of(&id), "killed");
        server.await_nothing_stored(&id);
    }
    let id = server.create(&[RAW[0], RAW[1], ("x-image-meta-size", "4")]);
    server.request(&put_data(&id, &[], b"data")).expect(200);
}

#[test]
fn statements_of_upload_win() {
    let server = Server::shared();
    let id = server.create(&[RAW[0], RAW[1], ("x-image-meta-size", "5")]);
    server
        .request(&put_data(&id, &[("x-image-meta-size", "4")], b"data"))
        .expect(200);
}

#[test]
fn other_content_type_kills() {
    let server = Server::shared();
    for headers in [&[][..], &[("Content-Type", "application/json")]] {
        let id = server.reserve();
        server.request(&put(&id, headers).body("data")).expect(400);
        assert_eq!(server.status_of(&id), "killed");
        assert!(!server.has_stored(&id));
    }
}

#[test]
fn active_image_refuses_data() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    server.request(&put_data(&id, &[], b"other")).expect(409);
    // A fixed field is reported before the conflict, and the conflict before the content type.
    server.request(&put(&id, &[]).body("other")).expect(409);
    let status = [("x-image-meta-status", "queued")];
    server
        .request(&put_data(&id, &status, b"other"))
        .expect(403);
    assert_eq!(server.download(&id).expect(200).body, b"data");
    assert_eq!(server.status_of(&id), "active");
}

#[test]
fn deleted_image_refuses_data() {
    let server = Server::shared();
    let id = server.reserve();
    server.remove(&id).expect(200);
    server.request(&put_data(&id, &[], b"data")).expect(403);
    assert!(!server.has_stored(&id));
}

#[test]
fn content_length_zero_is_no_upload() {
    let server = Server::shared();
    let id = server.reserve();
    server.request(&put(&id, &[OCTETS]).body("")).expect(200);
    assert_eq!(server.status_of(&id), "queued");
}

#[test]
fn empty_chunked_body_is_upload() {
    let server = Server::shared();
    let id = server.reserve();
    let request = put(&id, &[OCTETS]).chunked([[0u8; 0]; 0]);
    server.request(&request).expect(200);
    assert_eq!(server.status_of(&id), "active");
}

#[test]
fn continue_is_sent_only_for_accepted_data() {
    let server = Server::shared();
    let expect = [OCTETS, ("Expect", "100-continue"), ("Content-Length", "4")];
    let id = server.reserve();
    let mut connection = server.connect();
    connection.send_head(&put(&id, &expect)).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send_bytes(b"data").unwrap();
    connection.read_response("PUT").unwrap().expect(200);
    // The image is active now: the same request is a conflict, reported without 100 Continue.
    let mut connection = server.connect();
    connection.send_head(&put(&id, &expect)).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 409);
}

#[test]
fn refused_upload_keeps_or_closes_connection_cleanly() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let mut connection = server.connect();
    let refused = connection.request(&put_data(&id, &[], &pattern(3 << 20, 1)));
    refused.expect(409);
    if connection.exchange(&Request::get("/versions")).is_err() {
        let got = server.request(&Request::get(&image_path(&id))).expect(200);
        assert_eq!(got.body, b"data");
    }
}
