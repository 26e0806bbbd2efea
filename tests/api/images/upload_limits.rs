//! Data past `image_size_cap`.

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, post, put, put_data};

const CAP: usize = 10_000;

fn capped() -> Server {
    Setup::new().option("image_size_cap", CAP).start()
}

fn sized(len: usize) -> Request {
    post(RAW).headers(&[OCTETS]).body(vec![7; len])
}

fn chunked(len: usize) -> Request {
    let data = vec![7; len];
    post(RAW).headers(&[OCTETS]).chunked(data.chunks(1000))
}

#[test]
fn data_up_to_the_cap_pass() {
    let server = capped();
    server.request(&sized(CAP)).expect(201);
    server.request(&chunked(CAP)).expect(201);
}

#[test]
fn a_length_past_the_cap_is_refused_before_anything_is_made() {
    let server = capped();
    let id = fresh_id();
    let refused = sized(CAP + 1).header("x-image-meta-id", &id);
    server.request(&refused).expect(413);
    server.head(&id).expect(404);
    assert!(server.stored_files().is_empty());
}

#[test]
fn chunks_past_the_cap_are_cut() {
    let server = capped();
    let id = fresh_id();
    let refused = chunked(CAP + 1).header("x-image-meta-id", &id);
    server.request(&refused).expect(413);
    assert_eq!(server.status_of(&id), "killed");
    server.await_nothing_stored(&id);
    assert!(server.stored_files().is_empty());
}

#[test]
fn a_late_upload_is_held_to_it_too() {
    let server = capped();
    let id = server.reserve();
    server
        .request(&put_data(&id, &[], &vec![7; CAP + 1]))
        .expect(413);
    assert_eq!(
        server.status_of(&id),
        "queued",
        "its length alone was refused"
    );
    let data = vec![7; CAP + 1];
    let late = put(&id, &[OCTETS]).chunked(data.chunks(999));
    server.request(&late).expect(413);
    assert_eq!(server.status_of(&id), "killed");
    server.await_nothing_stored(&id);
}

#[test]
fn a_stated_size_past_the_cap_is_a_bad_value() {
    let server = capped();
    let stated = |size: usize| post(&[("x-image-meta-size", &size.to_string())]);
    server.request(&stated(CAP)).expect(201);
    server.request(&stated(CAP + 1)).expect(400);
}
