//! Headers that describe the data of a request: Content-Range and Content-MD5.

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, image_path, post, put};
use crate::support::{md5_hex, pattern};

/// `Content-MD5` of `data`, computed by `openssl md5 -binary | base64`.
const DATA_MD5: &str = "jXd/OF09/siBXSD3SWAm3A==";
/// `Content-MD5` of an empty body.
const EMPTY_MD5: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

#[test]
fn partial_body_is_refused() {
    let server = Server::shared();
    let id = server.reserve();
    for range in ["bytes 4000-9999/10000", "bytes 0-9999/10000", "nonsense"] {
        let part = put(&id, &[OCTETS, ("Content-Range", range)]);
        let part = part.body(pattern(6000, 1));
        server.request(&part).expect(400);
        assert_eq!(server.status_of(&id), "queued", "{range}");
    }
    let name = crate::support::unique("part");
    let part = post(RAW)
        .headers(&[OCTETS, ("Content-Range", "bytes 0-3/9")])
        .header("x-image-meta-name", &name);
    server.request(&part.body("data")).expect(400);
    assert!(
        server
            .listed(&format!("is_public=None&name={name}"))
            .is_empty()
    );
    let members = Request::put(&format!("{}/members", image_path(&id)));
    let members = members.header("Content-Range", "bytes 0-3/9");
    server
        .request(&members.body("{\"memberships\": []}"))
        .expect(400);
    // The image is still queued and takes its data.
    let whole = put(&id, &[OCTETS]).body("data");
    server.request(&whole).expect(200);
}

#[test]
fn correct_content_md5_passes() {
    let server = Server::shared();
    let request = post(RAW).headers(&[OCTETS, ("Content-MD5", DATA_MD5)]);
    server.request(&request.clone().body("data")).expect(201);
    server.request(&request.chunked(["da", "ta"])).expect(201);
    let empty = post(RAW).headers(&[OCTETS, ("Content-MD5", EMPTY_MD5)]);
    server.request(&empty.clone().chunked([""; 0])).expect(201);
    server.request(&empty).expect(201);
}

#[test]
fn wrong_content_md5_kills() {
    let server = Server::shared();
    let id = server.reserve();
    let wrong = put(&id, &[OCTETS, ("Content-MD5", EMPTY_MD5)]).body("data");
    server.request(&wrong).expect(400);
    assert_eq!(server.status_of(&id), "killed");
    server.download(&id).expect(404);
    server.await_nothing_stored(&id);
    let stated = super::create::fresh_id();
    // A correct checksum in the metadata does not change that.
    let wrong = post(RAW).headers(&[
        OCTETS,
        ("x-image-meta-id", &stated),
        ("x-image-meta-checksum", &md5_hex(b"data")),
        ("Content-MD5", EMPTY_MD5),
    ]);
    server.request(&wrong.body("data")).expect(400);
    assert_eq!(server.status_of(&stated), "killed");
}

#[test]
fn malformed_content_md5_creates_no_image() {
    let server = Server::shared();
    let id = server.reserve();
    let hexadecimal = md5_hex(b"data");
    for md5 in ["", "x", &hexadecimal, "jXd/OF09/siBXSD3SWAm3A"] {
        let request = put(&id, &[OCTETS, ("Content-MD5", md5)]).body("data");
        server.request(&request).expect(400);
        assert_eq!(server.status_of(&id), "queued", "{md5}");
    }
}

#[test]
fn content_md5_is_checked_for_other_bodies() {
    let server = Server::shared();
    let members = format!("{}/members", image_path(&server.reserve()));
    let replace = Request::put(&members).header("Content-MD5", DATA_MD5);
    server
        .request(&replace.body("{\"memberships\": []}"))
        .expect(400);
    let rename = put(&server.reserve(), &[("Content-MD5", DATA_MD5)]);
    server.request(&rename).expect(400);
}
