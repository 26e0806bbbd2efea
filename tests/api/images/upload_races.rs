//! Uploads that meet others: a second one, a deletion, an update.

use super::create::fresh_id;
use crate::support::http::{Connection, LAST_CHUNK, chunk_bytes};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, post, put, put_data};
use crate::support::{eventually, pattern};

/// Begins an upload and returns when the server shows it.
#[track_caller]
fn begun(server: &Server, id: &str, first: &[u8]) -> Connection {
    let mut connection = server.connect();
    let head = put(id, &[OCTETS, ("Transfer-Encoding", "chunked")]);
    connection.send_head(&head).unwrap();
    connection.send_bytes(&chunk_bytes(first)).unwrap();
    eventually("it is saving", || {
        (server.status_of(id) == "saving").then_some(())
    });
    connection
}

#[test]
fn the_second_upload_is_a_conflict_and_the_first_unharmed() {
    let server = Server::shared();
    let id = server.reserve();
    let mut first = begun(server, &id, b"of the first");
    server
        .request(&put_data(&id, &[], b"of the second"))
        .expect(409);
    let wrong_type = put(&id, &[]).body("of the second");
    server.request(&wrong_type).expect(409);
    first.send_bytes(LAST_CHUNK).unwrap();
    first.read_response("PUT").unwrap().expect(200);
    assert_eq!(server.download(&id).expect(200).body, b"of the first");
}

#[test]
fn one_of_many_uploads_at_a_time_wins() {
    let server = Server::shared();
    let id = server.reserve();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let upload = |seed: u64| {
            let request = put_data(&id, &[], &pattern(100_000, seed));
            server.request(&request).status
        };
        let threads: Vec<_> = (0..6)
            .map(|seed| scope.spawn(move || upload(seed)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        answers.iter().filter(|status| **status == 200).count(),
        1,
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|status| [200, 409].contains(status)),
        "{answers:?}"
    );
    let winner = answers.iter().position(|status| *status == 200).unwrap();
    assert!(server.download(&id).expect(200).body == pattern(100_000, winner as u64));
}

#[test]
fn deletion_ends_an_upload() {
    let server = Server::shared();
    let id = server.reserve();
    let mut upload = begun(server, &id, &pattern(300_000, 1));
    server.remove(&id).expect(200);
    // It may be told before it has sent everything.
    let _ = upload.send_bytes(LAST_CHUNK);
    upload.read_response("PUT").unwrap().expect(412);
    server.await_nothing_stored(&id);
    assert_eq!(server.status_of(&id), "deleted");
    assert_eq!(
        server.head(&id).header("x-image-meta-deleted"),
        Some("True")
    );
}

#[test]
fn deletion_ends_the_upload_of_a_creation() {
    let server = Server::shared();
    let id = fresh_id();
    let mut upload = server.connect();
    let head = post(RAW).headers(&[OCTETS, ("Content-Length", "10"), ("x-image-meta-id", &id)]);
    upload.send_head(&head).unwrap();
    upload.send_bytes(b"12345").unwrap();
    eventually("it is saving", || {
        (server.head(&id).status == 200).then_some(())
    });
    server.remove(&id).expect(200);
    let _ = upload.send_bytes(b"67890");
    upload.read_response("POST").unwrap().expect(412);
    server.await_nothing_stored(&id);
}

#[test]
fn deletions_and_uploads_at_once_leave_nothing_behind() {
    let server = Server::shared();
    for round in 0..10 {
        let id = server.reserve();
        let data = pattern(50_000 * round, 3);
        let uploaded = std::thread::scope(|scope| {
            let upload = scope.spawn(|| server.request(&put_data(&id, &[], &data)).status);
            server.remove(&id).expect(200);
            upload.join().unwrap()
        });
        // Before, during or after it; a body of no bytes is no upload.
        assert!([200, 403, 404, 412].contains(&uploaded), "{uploaded}");
        assert_eq!(server.status_of(&id), "deleted");
        server.await_nothing_stored(&id);
    }
}

#[test]
fn metadata_may_change_while_data_come() {
    let server = Server::shared();
    let id = server.reserve();
    let mut upload = begun(server, &id, b"data");
    let rename = put(&id, &[("x-image-meta-name", "meanwhile")]);
    server.request(&rename).expect(200);
    upload.send_bytes(LAST_CHUNK).unwrap();
    upload.read_response("PUT").unwrap().expect(200);
    let got = server.download(&id).expect(200);
    assert_eq!(got.body, b"data");
    assert_eq!(got.header("x-image-meta-name"), Some("meanwhile"));
    assert_eq!(got.header("x-image-meta-status"), Some("active"));
}

#[test]
fn a_download_goes_on_when_its_image_is_deleted() {
    let server = Server::shared();
    let data = pattern(16 << 20, 5);
    let id = server.upload(&[], &data);
    let mut reader = server.connect();
    let request = crate::support::http::Request::get(&format!("/v1/images/{id}"));
    reader.send(&request).unwrap();
    assert_eq!(reader.read_head().unwrap().status, 200);
    server.remove(&id).expect(200);
    server.await_nothing_stored(&id);
    assert!(reader.read_bytes(data.len()).unwrap() == data);
}
