//! `PUT /v1/images/{id}` with data: the second half of a reservation.

use serde_json::json;

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, image_of, image_path, put, put_data};
use crate::support::{md5_hex, pattern};

#[test]
fn a_reservation_gets_its_data() {
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
fn in_chunks_too() {
    let server = Server::shared();
    let id = server.reserve();
    let data = pattern(54_321, 2);
    let request = put(&id, &[OCTETS]).chunked(data.chunks(5000));
    server.request(&request).expect(200);
    assert!(server.download(&id).expect(200).body == data);
}

#[test]
fn formats_may_come_with_the_data() {
    let server = Server::shared();
    let id = server.create(&[]);
    server.request(&put_data(&id, &[], b"data")).expect(400);
    assert_eq!(server.status_of(&id), "queued");
    server.request(&put_data(&id, RAW, b"data")).expect(200);
    assert_eq!(server.status_of(&id), "active");
}

#[test]
fn what_the_reservation_stated_is_checked() {
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
fn what_the_upload_states_wins() {
    let server = Server::shared();
    let id = server.create(&[RAW[0], RAW[1], ("x-image-meta-size", "5")]);
    server
        .request(&put_data(&id, &[("x-image-meta-size", "4")], b"data"))
        .expect(200);
}

#[test]
fn other_content_types_kill() {
    let server = Server::shared();
    for headers in [&[][..], &[("Content-Type", "application/json")]] {
        let id = server.reserve();
        server.request(&put(&id, headers).body("data")).expect(400);
        assert_eq!(server.status_of(&id), "killed");
        assert!(!server.has_stored(&id));
    }
}

#[test]
fn an_active_image_takes_no_data() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    server.request(&put_data(&id, &[], b"other")).expect(409);
    // The conflict comes before the content type, what cannot change before the conflict.
    server.request(&put(&id, &[]).body("other")).expect(409);
    let status = [("x-image-meta-status", "queued")];
    server
        .request(&put_data(&id, &status, b"other"))
        .expect(403);
    assert_eq!(server.download(&id).expect(200).body, b"data");
    assert_eq!(server.status_of(&id), "active");
}

#[test]
fn a_deleted_image_takes_no_data() {
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
fn no_bytes_in_chunks_are_one() {
    let server = Server::shared();
    let id = server.reserve();
    let request = put(&id, &[OCTETS]).chunked([[0u8; 0]; 0]);
    server.request(&request).expect(200);
    assert_eq!(server.status_of(&id), "active");
}

#[test]
fn continue_is_sent_only_for_data_that_are_wanted() {
    let server = Server::shared();
    let expect = [OCTETS, ("Expect", "100-continue"), ("Content-Length", "4")];
    let id = server.reserve();
    let mut connection = server.connect();
    connection.send_head(&put(&id, &expect)).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 100);
    connection.send_bytes(b"data").unwrap();
    connection.read_response("PUT").unwrap().expect(200);
    // Now it is active: the same request is a conflict, and is told so at once.
    let mut connection = server.connect();
    connection.send_head(&put(&id, &expect)).unwrap();
    assert_eq!(connection.read_head().unwrap().status, 409);
}

#[test]
fn a_refused_upload_leaves_the_connection_or_closes_it_cleanly() {
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
