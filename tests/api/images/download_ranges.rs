//! `GET /v1/images/{id}` with ranges and conditions (RFC 9110, sections 13 and 14).

use std::sync::OnceLock;

use crate::support::http::{Request, Response};
use crate::support::server::Server;
use crate::support::v1::{Headers, image_path};
use crate::support::{md5_hex, pattern};

const SIZE: usize = 100_000;

fn data() -> Vec<u8> {
    pattern(SIZE, 11)
}

fn image() -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| Server::shared().upload(&[], &data()))
}

fn get(headers: Headers) -> Response {
    let request = Request::get(&image_path(image())).headers(headers);
    Server::shared().request(&request)
}

fn tag() -> String {
    md5_hex(&data())
}

#[test]
fn single_range_returns_part() {
    for (range, first, last) in [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=10-19", 10, 19),
        ("bytes=4095-8192", 4095, 8192),
        ("bytes=99999-99999", 99_999, 99_999),
        ("bytes=50000-", 50_000, 99_999),
        ("bytes=-1", 99_999, 99_999),
        ("bytes=-70000", 30_000, 99_999),
        ("bytes=0-99999999999999999999", 0, 99_999),
        ("bytes=-100001", 0, 99_999),
        ("Bytes=1-2", 1, 2),
    ] {
        let part = get(&[("Range", range)]).expect(206);
        assert!(part.body == data()[first..=last], "{range}");
        let content_range = format!("bytes {first}-{last}/{SIZE}");
        assert_eq!(part.header("content-range"), Some(content_range.as_str()));
        let length = (last - first + 1).to_string();
        assert_eq!(part.header("content-length"), Some(length.as_str()));
        assert_eq!(part.header("etag"), Some(tag().as_str()));
        assert_eq!(
            part.header("content-md5"),
            None,
            "of a part it would be another"
        );
        assert_eq!(part.header("x-image-meta-size"), Some("100000"));
    }
}

#[test]
fn broken_download_can_be_resumed() {
    let server = Server::shared();
    let mut broken = server.connect();
    broken.send(&Request::get(&image_path(image()))).unwrap();
    let head = broken.read_head().unwrap();
    let tag = head.header("etag").unwrap().to_owned();
    let mut all = broken.read_bytes(33_333).unwrap();
    drop(broken);
    let rest = get(&[
        ("Range", "bytes=33333-"),
        ("If-Range", &format!("\"{tag}\"")),
    ])
    .expect(206);
    all.extend(rest.body);
    assert!(all == data());
}

#[test]
fn range_past_end_is_not_satisfiable() {
    for range in [
        "bytes=100000-",
        "bytes=100000-100001",
        "bytes=999999999999-",
        "bytes=-0",
    ] {
        let refused = get(&[("Range", range)]).expect(416);
        assert_eq!(
            refused.header("content-range"),
            Some("bytes */100000"),
            "{range}"
        );
    }
    let server = Server::shared();
    let empty = server.create(&[("x-image-meta-size", "0")]);
    let request = Request::get(&image_path(&empty)).header("Range", "bytes=0-");
    let refused = server.request(&request).expect(416);
    assert_eq!(refused.header("content-range"), Some("bytes */0"));
}

#[test]
fn invalid_or_multiple_ranges_are_ignored() {
    for range in [
        "bytes=0-1,5-6",
        "bytes=5-1",
        "bytes=a-b",
        "bytes",
        "lines=0-1",
        "bytes=--1",
        "",
    ] {
        let whole = get(&[("Range", range)]).expect(200);
        assert!(whole.body == data(), "{range}");
        assert_eq!(whole.header("content-range"), None);
    }
}

#[test]
fn if_range_must_match_tag() {
    let range = ("Range", "bytes=0-9");
    let (plain, quoted) = (tag(), format!("\"{}\"", tag()));
    for same in [&plain, &quoted] {
        get(&[range, ("If-Range", same)]).expect(206);
    }
    let weak = format!("W/{quoted}");
    for other in ["\"0\"", &weak, "Wed, 21 Oct 2015 07:28:00 GMT"] {
        get(&[range, ("If-Range", other)]).expect(200);
    }
}

#[test]
fn if_none_match_returns_not_modified() {
    let (plain, weak) = (tag(), format!("W/\"{}\"", tag()));
    let among = format!("\"0\", \"{}\"", tag());
    for tags in [&plain, &weak, &among, "*"] {
        let answer = get(&[("If-None-Match", tags)]).expect(304);
        assert_eq!(answer.header("etag"), Some(tag().as_str()), "{tags}");
        assert!(answer.body.is_empty());
    }
    get(&[("If-None-Match", "\"0\"")]).expect(200);
    // The condition is checked before the range.
    get(&[("If-None-Match", &plain), ("Range", "bytes=0-1")]).expect(304);
}

#[test]
fn not_modified_keeps_connection_usable() {
    let mut connection = Server::shared().connect();
    let request = Request::get(&image_path(image())).header("If-None-Match", "*");
    connection.request(&request).expect(304);
    connection.request(&Request::get("/versions")).expect(200);
}

#[test]
fn if_match_must_match_tag() {
    let (plain, quoted) = (tag(), format!("\"{}\"", tag()));
    for tags in [&plain, &quoted, "*"] {
        get(&[("If-Match", tags)]).expect(200);
    }
    get(&[("If-Match", "\"0\"")]).expect(412);
    get(&[("If-Match", "\"0\""), ("Range", "bytes=0-1")]).expect(412);
}

#[test]
fn conditions_do_not_reveal_missing_data() {
    let server = Server::shared();
    let queued = server.reserve();
    for header in ["If-None-Match", "If-Match"] {
        let request = Request::get(&image_path(&queued)).header(header, "*");
        server.request(&request).expect(404);
    }
}

#[test]
fn parts_combine_to_whole() {
    let mut connection = Server::shared().connect();
    let mut all = Vec::new();
    for first in (0..SIZE).step_by(7919) {
        let range = format!("bytes={first}-{}", first + 7918);
        let request = Request::get(&image_path(image())).header("Range", range);
        all.extend(connection.request(&request).expect(206).body);
    }
    assert!(all == data());
}
