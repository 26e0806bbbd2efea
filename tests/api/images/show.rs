//! `HEAD /v1/images/{id}`.

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::md5_hex;
use crate::support::server::Server;
use crate::support::v1::{RAW, post};

#[test]
fn every_field_that_is_not_null() {
    let server = Server::shared();
    let headers = [
        ("x-image-meta-name", "Fedora"),
        ("x-image-meta-is_public", "yes"),
        ("x-image-meta-owner", "tenant"),
        ("x-image-meta-min_ram", "256"),
        ("x-image-meta-virtual_size", "99"),
        ("x-image-meta-property-os_distro", "fedora"),
    ];
    let id = server.upload(&headers, b"data");
    let head = server.head(&id).expect(200);
    let sum = md5_hex(b"data");
    for (name, value) in [
        ("id", id.as_str()),
        ("name", "Fedora"),
        ("status", "active"),
        ("size", "4"),
        ("virtual_size", "99"),
        ("disk_format", "raw"),
        ("container_format", "bare"),
        ("checksum", &sum),
        ("owner", "tenant"),
        ("is_public", "True"),
        ("protected", "False"),
        ("deleted", "False"),
        ("min_disk", "0"),
        ("min_ram", "256"),
        ("property-os_distro", "fedora"),
    ] {
        let header = format!("x-image-meta-{name}");
        assert_eq!(head.header(&header), Some(value), "{name}");
    }
    let detail = server.detail_of(&id);
    for name in ["created_at", "updated_at"] {
        let header = format!("x-image-meta-{name}");
        assert_eq!(
            head.header(&header),
            detail[name].as_str(),
            "the same text in both"
        );
    }
    assert_eq!(head.header("etag"), Some(sum.as_str()));
    assert_eq!(head.header("content-length"), Some("0"));
}

#[test]
fn nulls_are_left_out() {
    let server = Server::shared();
    let head = server.head(&server.create(&[])).expect(200);
    for name in [
        "name",
        "virtual_size",
        "disk_format",
        "container_format",
        "checksum",
        "owner",
        "deleted_at",
        "location",
        "uri",
    ] {
        assert_eq!(head.header(&format!("x-image-meta-{name}")), None, "{name}");
    }
    assert_eq!(head.header("etag"), None);
}

#[test]
fn each_status() {
    let server = Server::shared();
    assert_eq!(server.status_of(&server.reserve()), "queued");
    assert_eq!(server.status_of(&server.upload(&[], b"data")), "active");
    let killed = fresh_id();
    let request = post(RAW).header("x-image-meta-id", &killed).body("data");
    server.request(&request).expect(400);
    assert_eq!(server.status_of(&killed), "killed");
    let deleted = server.upload(&[], b"data");
    server.remove(&deleted).expect(200);
    assert_eq!(server.status_of(&deleted), "deleted");
}

#[test]
fn an_unknown_image() {
    let server = Server::shared();
    let answer = server.head(&fresh_id()).expect(404);
    assert!(answer.body.is_empty());
    let upper = server.reserve().to_uppercase();
    server.head(&upper).expect(404);
}

#[test]
fn the_answer_has_no_body_on_the_wire() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let mut connection = server.connect();
    let path = format!("/v1/images/{id}");
    connection.request(&Request::head(&path)).expect(200);
    // Had there been a body, it would be taken for the next head.
    assert_eq!(
        connection.request(&Request::get(&path)).expect(200).body,
        b"data"
    );
}
