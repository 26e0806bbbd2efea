//! Uploads that run concurrently with another upload, a deletion or an update.

use super::create::fresh_id;
use crate::support::http::{Connection, LAST_CHUNK, chunk_bytes};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, post, put, put_data};
use crate::support::{eventually, pattern};

/// Starts an upload and returns when the image is `saving`.
#[track_caller]
fn started_upload(server: &Server, id: &str, first: &[u8]) -> Connection {
    let mut connection = server.connect();
    let head = put(id, &[OCTETS, ("Transfer-Encoding", "chunked")]);
    connection.send_head(&head).unwrap();
    connection.send_bytes(&chunk_bytes(first)).unwrap();
    eventually("the image is saving", || {
        (server.status_of(id) == "saving").then_some(())
    });
    connection
}

#[test]
fn second_upload_is_conflict_and_first_completes() {
    let server = Server::shared();
    let id = server.reserve();
    let mut first = started_upload(server, &id, b"of the first");
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
fn one_of_concurrent_uploads_wins() {
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
fn delete_ends_upload() {
    let server = Server::shared();
    let id = server.reserve();
    let mut upload = started_upload(server, &id, &pattern(300_000, 1));
    server.remove(&id).expect(200);
    // The server may respond before the client has sent everything.
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
fn delete_ends_upload_of_creation() {
    let server = Server::shared();
    let id = fresh_id();
    let mut upload = server.connect();
    let head = post(RAW).headers(&[OCTETS, ("Content-Length", "10"), ("x-image-meta-id", &id)]);
    upload.send_head(&head).unwrap();
    upload.send_bytes(b"12345").unwrap();
    eventually("the image is saving", || {
        (server.head(&id).status == 200).then_some(())
    });
    server.remove(&id).expect(200);
    let _ = upload.send_bytes(b"67890");
    upload.read_response("POST").unwrap().expect(412);
    server.await_nothing_stored(&id);
}

#[test]
fn concurrent_deletes_and_uploads_leave_no_data() {
    let server = Server::shared();
    for round in 0..10 {
        let id = server.reserve();
        let data = pattern(50_000 * round, 3);
        let uploaded = std::thread::scope(|scope| {
            let upload = scope.spawn(|| server.request(&put_data(&id, &[], &data)).status);
            server.remove(&id).expect(200);
            upload.join().unwrap()
        });
        // The deletion may come before, during or after the upload. An empty body is no upload
        // (200).
        assert!([200, 403, 404, 412].contains(&uploaded), "{uploaded}");
        assert_eq!(server.status_of(&id), "deleted");
        server.await_nothing_stored(&id);
    }
}

/// An upload writes back only status, size, checksum, location and its own entry. All other fields
/// keep the values of requests that were answered while it ran.
#[test]
fn metadata_changed_during_upload_survive() {
    let server = Server::shared();
    let id = server.reserve();
    let mut upload = started_upload(server, &id, b"da");
    let changes = [
        ("x-image-meta-name", "changed"),
        ("x-image-meta-min_disk", "7"),
        ("x-image-meta-protected", "True"),
        ("x-image-meta-property-os", "linux"),
    ];
    server.request(&put(&id, &changes)).expect(200);
    upload.send_bytes(&chunk_bytes(b"ta")).unwrap();
    // Without purging, so that this request adds a property to the first one.
    let more = [
        ("x-glance-registry-purge-props", "false"),
        ("x-image-meta-property-arch", "x86_64"),
    ];
    server.request(&put(&id, &more)).expect(200);
    upload.send_bytes(LAST_CHUNK).unwrap();
    upload.read_response("PUT").unwrap().expect(200);
    let got = server.download(&id).expect(200);
    assert_eq!(got.body, b"data");
    let expected = [
        ("x-image-meta-status", "active"),
        ("x-image-meta-size", "4"),
        // printf data | md5sum
        ("x-image-meta-checksum", "8d777f385d3dfec8815d20f7496026dc"),
        ("x-image-meta-property-arch", "x86_64"),
    ];
    for (name, value) in changes.into_iter().chain(expected) {
        assert_eq!(got.header(name), Some(value), "{name}");
    }
    server
        .request(&put(&id, &[("x-image-meta-protected", "False")]))
        .expect(200);
}

#[test]
fn download_continues_after_delete() {
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
