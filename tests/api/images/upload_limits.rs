//! Uploads larger than `image_size_cap`.

use std::time::{Duration, Instant};

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
fn data_up_to_cap_pass() {
    let server = capped();
    server.request(&sized(CAP)).expect(201);
    server.request(&chunked(CAP)).expect(201);
}

#[test]
fn length_past_cap_creates_no_image() {
    let server = capped();
    let id = fresh_id();
    let refused = sized(CAP + 1).header("x-image-meta-id", &id);
    server.request(&refused).expect(413);
    server.head(&id).expect(404);
    assert!(server.stored_files().is_empty());
}

#[test]
fn chunked_data_past_cap_are_refused() {
    let server = capped();
    let id = fresh_id();
    let refused = chunked(CAP + 1).header("x-image-meta-id", &id);
    server.request(&refused).expect(413);
    assert_eq!(server.status_of(&id), "killed");
    server.await_nothing_stored(&id);
    assert!(server.stored_files().is_empty());
}

#[test]
fn cap_applies_to_reserved_image() {
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
fn stated_size_past_cap_is_invalid() {
    let server = capped();
    let stated = |size: usize| post(&[("x-image-meta-size", &size.to_string())]);
    server.request(&stated(CAP)).expect(201);
    server.request(&stated(CAP + 1)).expect(400);
}

/// The server reads on for a while, because closing at once could discard the response in the
/// client's socket. It does not read forever.
#[test]
fn refused_client_that_keeps_sending_is_disconnected() {
    let setup = Setup::new().option("image_size_cap", CAP);
    let server = setup.option("client_linger_timeout", 1).start();
    let mut connection = server.connect();
    let request = post(RAW).headers(&[OCTETS]).announce(1 << 40);
    connection.send_head(&request).unwrap();
    connection.read_response("POST").unwrap().expect(413);
    let began = Instant::now();
    while connection.send_bytes(&[0; 1000]).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(9), "still taken");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(began.elapsed() > Duration::from_millis(800), "cut at once");
}
