//! `user_storage_quota` with sequential requests.

use super::{QUOTA, chunked, counted_bytes, limited, owned, sized};
use crate::images::create::fresh_id;
use crate::support::eventually;
use crate::support::http::{Connection, LAST_CHUNK, Request, Response, chunk_bytes};
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, id_of, post, put, put_data};

/// The message of Glance.
#[track_caller]
fn assert_refused(answer: Response, size: usize, remaining: usize) {
    let words = format!(
        "Denying attempt to upload image because it exceeds the quota: The size of the data {size} \
         will exceed the limit. {remaining} bytes remaining."
    );
    let text = answer.expect(413).text().to_owned();
    assert!(text.contains(&words), "{text}");
}

#[test]
fn quota_is_usable_to_the_last_byte_and_after_a_deletion() {
    let server = limited().start();
    let first = id_of(&server.request(&sized(&[], 60_000)).expect(201));
    assert_refused(server.request(&sized(&[], 40_001)), 40_001, 40_000);
    server.request(&sized(&[], 40_000)).expect(201);
    assert_eq!(counted_bytes(&server), QUOTA);
    assert_refused(server.request(&sized(&[], 1)), 1, 0);
    // A deletion releases the quota at once, although removing the bytes takes a moment.
    let mut largest = first;
    for _ in 0..20 {
        server.remove(&largest).expect(200);
        largest = id_of(&server.request(&sized(&[], 60_000)).expect(201));
    }
}

#[test]
fn length_above_the_quota_is_refused_before_the_body() {
    let server = limited().start();
    let refused = |request: Request| {
        let mut connection = server.connect();
        connection.send_head(&request).unwrap();
        connection.read_response("POST").unwrap()
    };
    let id = fresh_id();
    let announced = post(RAW).headers(&[OCTETS, ("x-image-meta-id", &id)]);
    assert_refused(refused(announced.announce(1 << 30)), 1 << 30, QUOTA);
    assert_eq!(server.status_of(&id), "killed", "as in Glance");
    let queued = server.reserve();
    let late = put(&queued, &[OCTETS]).announce(100_001);
    assert_refused(refused(late), 100_001, QUOTA);
    assert_eq!(server.status_of(&queued), "killed");
    // Chunked, with a stated size.
    let size = ("x-image-meta-size", "100002");
    let stated = post(RAW).headers(&[OCTETS, size]).announce_chunks();
    assert_refused(refused(stated), 100_002, QUOTA);
    assert!(server.stored_files().is_empty());
    assert_eq!(counted_bytes(&server), 0);
}

#[test]
fn stated_size_reserves_no_quota() {
    let server = limited().start();
    let size = [("x-image-meta-size", "100000"), RAW[0], RAW[1]];
    let ids = [server.create(&size), server.create(&size)];
    server
        .request(&put_data(&ids[0], &[], &[1; QUOTA]))
        .expect(200);
    server
        .request(&put_data(&ids[1], &[], &[1; QUOTA]))
        .expect(413);
}

#[test]
fn upload_of_unknown_length_stops_at_the_limit() {
    let server = limited().start();
    server.request(&sized(&[], 30_000)).expect(201);
    let id = fresh_id();
    let over = chunked(&[("x-image-meta-id", &id)], 70_001);
    assert_refused(server.request(&over), 70_001, 70_000);
    assert_eq!(server.status_of(&id), "killed");
    server.await_nothing_stored(&id);
    assert_eq!(counted_bytes(&server), 30_000);
    server.request(&chunked(&[], 70_000)).expect(201);
    assert_eq!(counted_bytes(&server), QUOTA);
    let more = server.reserve();
    let late = put(&more, &[OCTETS]).chunked([b"1"]);
    assert_refused(server.request(&late), 1, 0);
    assert_eq!(server.status_of(&more), "killed");
}

/// Starts a chunked upload, sends this many bytes, and waits until they count.
#[track_caller]
fn begun(server: &Server, id: &str, len: usize) -> Connection {
    let mut connection = server.connect();
    connection
        .send_head(&put(id, &[OCTETS]).announce_chunks())
        .unwrap();
    connection.send_bytes(&chunk_bytes(&vec![7; len])).unwrap();
    // The usage may still include bytes that the previous upload has not released yet.
    eventually("the upload has begun", || {
        (server.status_of(id) == "saving").then_some(())
    });
    eventually("its bytes are counted", || {
        (counted_bytes(server) >= len).then_some(())
    });
    connection
}

#[test]
fn uploading_bytes_count_until_the_image_is_deleted() {
    let server = limited().start();
    let id = server.reserve();
    let mut upload = begun(&server, &id, 60_000);
    server.request(&sized(&[], 40_001)).expect(413);
    server.request(&sized(&[], 10_000)).expect(201);
    server.remove(&id).expect(200);
    let _ = upload.send_bytes(LAST_CHUNK);
    upload.read_response("PUT").unwrap().expect(412);
    server.request(&sized(&[], 90_000)).expect(201);
}

#[test]
fn uploading_bytes_count_until_the_client_disconnects() {
    let server = limited().start();
    let id = server.reserve();
    drop(begun(&server, &id, 60_000));
    eventually("killed", || {
        (server.status_of(&id) == "killed").then_some(())
    });
    server.request(&sized(&[], QUOTA)).expect(201);
}

/// CVE-2014-9623.
#[test]
fn deletion_during_an_upload_releases_the_quota() {
    let server = limited().start();
    for _ in 0..40 {
        let id = server.reserve();
        let mut upload = begun(&server, &id, 50_001);
        server.remove(&id).expect(200);
        let _ = upload.send_bytes(LAST_CHUNK);
        upload.read_response("PUT").unwrap().expect(412);
    }
    eventually("nothing counts", || {
        (counted_bytes(&server) == 0).then_some(())
    });
    assert!(server.stored_files().is_empty());
}

#[test]
fn quota_is_per_owner_and_shared_by_ownerless_images() {
    let server = limited().start();
    server.request(&sized(&owned("a"), QUOTA)).expect(201);
    server.request(&sized(&owned("b"), 60_000)).expect(201);
    let nobodys = id_of(&server.request(&sized(&[], 50_000)).expect(201));
    assert_refused(server.request(&sized(&owned("a"), 1)), 1, 0);
    assert_refused(server.request(&sized(&owned("b"), 40_001)), 40_001, 40_000);
    assert_refused(server.request(&sized(&[], 50_001)), 50_001, 50_000);
    // They cannot be given to an owner whose quota is full either.
    let refused = server.request(&put(&nobodys, &owned("b")));
    assert_refused(refused, 50_000, 40_000);
    server.request(&put(&nobodys, &owned("c"))).expect(200);
    server.request(&sized(&[], QUOTA)).expect(201);
}

#[test]
fn full_quota_allows_everything_but_growth() {
    let server = limited().start();
    let id = id_of(&server.request(&sized(&[], QUOTA)).expect(201));
    let change = put(
        &id,
        &[("x-image-meta-name", "n"), ("x-image-meta-property-a", "b")],
    );
    server.request(&change).expect(200);
    let restated = put(&id, &[("x-image-meta-size", "1")]);
    server.request(&restated).expect(200);
    server.request(&sized(&[], 1)).expect(413);
    server.reserve();
    server.request(&chunked(&[], 0)).expect(201);
    assert_eq!(server.download(&id).expect(200).body.len(), QUOTA);
}

#[test]
fn images_that_wait_for_the_scrubber_count() {
    let server = limited().option("delayed_delete", true).start();
    let id = id_of(&server.request(&sized(&[], 60_000)).expect(201));
    server.remove(&id).expect(200);
    assert_eq!(server.status_of(&id), "pending_delete");
    assert_refused(server.request(&sized(&[], 40_001)), 40_001, 40_000);
}
