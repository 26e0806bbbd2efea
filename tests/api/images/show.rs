//! `HEAD /v1/images/{id}`.

use super::create::fresh_id;
use crate::support::http::{Request, Response};
use crate::support::md5_hex;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, id_of, image_path, post};

#[test]
fn every_non_null_field_is_a_header() {
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
    assert_eq!(head.header("content-length"), Some("4"));
}

/// Returns the headers of a response without those that change with time, by their exact names.
fn lasting_headers(response: &Response) -> Vec<(String, Vec<u8>)> {
    let mut headers = response.head.headers.clone();
    headers.retain(|(name, _)| name != "Date" && name != "X-Openstack-Request-Id");
    headers.sort_unstable();
    headers
}

/// Requests for one image that different code answers: the fast path and hyper.
fn ways(id: &str) -> [(&'static str, Request, Request); 3] {
    let (versioned, unversioned) = (image_path(id), format!("/images/{id}"));
    let by_hyper = |request: Request| request.header("Accept", "text/html, */*");
    [
        ("v1", Request::head(&versioned), Request::get(&versioned)),
        (
            "v1 by hyper",
            by_hyper(Request::head(&versioned)),
            by_hyper(Request::get(&versioned)),
        ),
        (
            "without a version",
            Request::head(&unversioned),
            Request::get(&unversioned),
        ),
    ]
}

#[test]
fn head_equals_headers_of_get() {
    let server = Server::shared();
    let headers = [
        ("x-image-meta-name", "n"),
        ("x-image-meta-property-distro", "d"),
    ];
    let stated_empty = [("x-image-meta-size", "0")];
    let no_bytes = post(RAW).headers(&[OCTETS]).chunked([""; 0]);
    for id in [
        server.upload(&headers, b"data"),
        id_of(&server.request(&no_bytes).expect(201)),
        server.create(&stated_empty),
    ] {
        for (way, head, get) in ways(&id) {
            let head = server.request(&head).expect(200);
            let get = server.request(&get).expect(200);
            assert_eq!(lasting_headers(&head), lasting_headers(&get), "{way}");
            assert_eq!(head.header("accept-ranges"), Some("bytes"), "{way}");
            assert_eq!(
                head.header("content-type"),
                Some("application/octet-stream")
            );
            let length = get.body.len().to_string();
            assert_eq!(head.header("content-length"), Some(length.as_str()));
            assert!(head.header("last-modified").is_some(), "{way}");
        }
    }
}

#[test]
fn head_ignores_ranges() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    for (way, head, _) in ways(&id) {
        let head = server.request(&head.header("Range", "bytes=1-2"));
        assert_eq!(
            head.expect(200).header("content-length"),
            Some("4"),
            "{way}"
        );
    }
}

#[test]
fn image_without_data_is_shown_as_in_glance() {
    let server = Server::shared();
    let deleted = server.upload(&[], b"data");
    server.remove(&deleted).expect(200);
    for id in [server.reserve(), deleted] {
        for (way, head, get) in ways(&id) {
            server.request(&get).expect(404);
            // Without data there is no representation that a condition could apply to.
            let head = server
                .request(&head.header("If-Match", "\"x\""))
                .expect(200);
            assert_eq!(head.header("content-length"), Some("0"), "{way}");
            let content_type = Some("text/html; charset=UTF-8");
            assert_eq!(head.header("content-type"), content_type, "{way}");
            for absent in ["accept-ranges", "last-modified", "content-md5"] {
                assert_eq!(head.header(absent), None, "{way}: {absent}");
            }
        }
    }
}

#[test]
fn header_names_are_in_title_case() {
    let server = Server::shared();
    let headers = [
        ("x-image-meta-property-distro", "d"),
        ("x-image-meta-property-os_version", "v"),
    ];
    let id = server.upload(&headers, b"data");
    for (way, head, get) in ways(&id) {
        for request in [head, get] {
            let response = server.request(&request).expect(200);
            let has = |wanted: &str| {
                let mut names = response.head.headers.iter().map(|(name, _)| name);
                names.any(|name| name == wanted)
            };
            for name in [
                "X-Image-Meta-Id",
                "X-Image-Meta-Disk_format",
                "X-Image-Meta-Is_public",
                "X-Image-Meta-Property-Distro",
                "X-Image-Meta-Property-Os_version",
                "Content-Length",
                "Content-Type",
                "Etag",
                "Date",
                "X-Openstack-Request-Id",
            ] {
                assert!(has(name), "{way}: {name} in {:?}", response.head.headers);
            }
        }
    }
    for request in [
        Request::get("/v1/images"),
        Request::get("/v1/nowhere"),
        Request::get("/versions"),
        post(RAW),
    ] {
        for (name, _) in server.request(&request).head.headers {
            let words = name.split('-');
            let begins_large = |word: &str| word.starts_with(|c: char| c.is_ascii_uppercase());
            assert!(words.clone().all(begins_large), "{name}");
        }
    }
}

#[test]
fn null_fields_have_no_header() {
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
fn every_status_is_shown() {
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
fn unknown_image_is_not_found() {
    let server = Server::shared();
    let answer = server.head(&fresh_id()).expect(404);
    assert!(answer.body.is_empty());
    let upper = server.reserve().to_uppercase();
    server.head(&upper).expect(404);
}

#[test]
fn head_response_has_no_body_on_wire() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let mut connection = server.connect();
    let path = format!("/v1/images/{id}");
    connection.request(&Request::head(&path)).expect(200);
    // The client would parse a body as the next response head.
    assert_eq!(
        connection.request(&Request::get(&path)).expect(200).body,
        b"data"
    );
}
