//! Conditional requests for images (RFC 9110, section 13): HEAD, dates, and requests that change an
//! image. `download_ranges` has those of GET.

use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::{Headers, OCTETS, image_path, put};
use crate::support::{md5_hex, pattern};

/// Requests that read an image, with each method and through each implementation.
fn reads(id: &str) -> [Request; 4] {
    let (versioned, unversioned) = (image_path(id), format!("/images/{id}"));
    [
        Request::get(&versioned),
        Request::head(&versioned),
        Request::get(&unversioned),
        Request::head(&unversioned),
    ]
}

#[track_caller]
fn expect_of_reads(id: &str, conditions: Headers, status: u16) {
    for request in reads(id) {
        let response = Server::shared().request(&request.headers(conditions));
        let response = response.expect(status);
        if status == 304 {
            assert!(response.body.is_empty());
            assert!(response.header("etag").is_some());
            assert!(response.header("last-modified").is_some());
        }
    }
}

#[track_caller]
fn last_modified(id: &str) -> String {
    let head = Server::shared().head(id).expect(200);
    head.header("last-modified").expect("a date").to_owned()
}

#[test]
fn head_and_get_check_same_conditions() {
    let id = Server::shared().upload(&[], b"data");
    let tag = format!("\"{}\"", md5_hex(b"data"));
    expect_of_reads(&id, &[("If-None-Match", &tag)], 304);
    expect_of_reads(&id, &[("If-None-Match", "\"x\"")], 200);
    expect_of_reads(&id, &[("If-Match", &tag)], 200);
    expect_of_reads(&id, &[("If-Match", "*")], 200);
    expect_of_reads(&id, &[("If-Match", "\"x\"")], 412);
    // If-Match compares strongly.
    expect_of_reads(&id, &[("If-Match", &format!("W/{tag}"))], 412);
}

#[test]
fn last_modified_has_resolution_of_seconds() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let head = server.head(&id).expect(200);
    let updated_at = head.header("x-image-meta-updated_at").expect("a time");
    let date = httpdate::parse_http_date(head.header("last-modified").expect("a date"));
    let date = date.expect("an HTTP date");
    let date = date.duration_since(std::time::UNIX_EPOCH).expect("later");
    let updated_at: jiff::civil::DateTime = updated_at.parse().expect("a time");
    let updated_at = updated_at.to_zoned(jiff::tz::TimeZone::UTC).expect("UTC");
    let updated_s = updated_at.timestamp().as_second();
    assert_eq!(i64::try_from(date.as_secs()), Ok(updated_s));
}

#[test]
fn dates_apply_without_tags() {
    let id = Server::shared().upload(&[], b"data");
    let date = last_modified(&id);
    let (earlier, later) = (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    );
    expect_of_reads(&id, &[("If-Modified-Since", &date)], 304);
    expect_of_reads(&id, &[("If-Modified-Since", later)], 304);
    expect_of_reads(&id, &[("If-Modified-Since", earlier)], 200);
    expect_of_reads(&id, &[("If-Modified-Since", "yesterday")], 200);
    expect_of_reads(&id, &[("If-Unmodified-Since", &date)], 200);
    expect_of_reads(&id, &[("If-Unmodified-Since", earlier)], 412);
    // A tag precedes a date.
    let other = ("If-None-Match", "\"x\"");
    expect_of_reads(&id, &[other, ("If-Modified-Since", &date)], 200);
    let same = ("If-Match", "*");
    expect_of_reads(&id, &[same, ("If-Unmodified-Since", earlier)], 200);
}

#[test]
fn if_range_accepts_date() {
    let server = Server::shared();
    let data = pattern(1000, 3);
    let id = server.upload(&[], &data);
    let date = last_modified(&id);
    let part = |if_range: &str| {
        let request = Request::get(&image_path(&id)).header("Range", "bytes=10-");
        server.request(&request.header("If-Range", if_range))
    };
    assert!(part(&date).expect(206).body == data[10..]);
    let earlier = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert!(part(earlier).expect(200).body == data);
}

/// Requests that change an image: an update and a deletion.
fn changes(id: &str) -> [Request; 2] {
    [
        Request::delete(&image_path(id)),
        put(id, &[("x-image-meta-name", "new")]),
    ]
}

/// The headers and the body of an image, without times.
fn visible_part(response: &Response) -> Vec<(String, Vec<u8>)> {
    let mut headers = response.head.headers.clone();
    headers.retain(|(name, _)| name.starts_with("X-Image-Meta"));
    headers
}

#[test]
fn false_condition_prevents_change() {
    let server = Server::shared();
    let id = server.upload(&[("x-image-meta-name", "old")], b"data");
    let tag = md5_hex(b"data");
    let (quoted, weak) = (format!("\"{tag}\""), format!("W/\"{tag}\""));
    let before = visible_part(&server.head(&id));
    for condition in [
        ("If-Match", "\"00000000000000000000000000000000\""),
        ("If-Match", &weak),
        ("If-Match", ""),
        ("If-None-Match", &quoted),
        ("If-None-Match", &weak),
        ("If-None-Match", "*"),
        ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        for change in changes(&id) {
            server.request(&change.headers(&[condition])).expect(412);
        }
        assert_eq!(visible_part(&server.head(&id)), before, "{condition:?}");
    }
    assert_eq!(server.download(&id).expect(200).body, b"data");
}

#[test]
fn true_condition_allows_change() {
    let server = Server::shared();
    let tag = md5_hex(b"data");
    let quoted = format!("\"{tag}\"");
    for condition in [
        ("If-Match", tag.as_str()),
        ("If-Match", &quoted),
        ("If-Match", "*"),
        ("If-None-Match", "\"x\""),
        ("If-Unmodified-Since", "Fri, 31 Dec 9999 23:59:59 GMT"),
        // If-Modified-Since applies to GET and HEAD only.
        ("If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let id = server.upload(&[], b"data");
        let [delete, put] = changes(&id);
        server.request(&put.headers(&[condition])).expect(200);
        server.request(&delete.headers(&[condition])).expect(200);
    }
}

#[test]
fn false_condition_on_upload_leaves_image_queued() {
    let server = Server::shared();
    let id = server.reserve();
    let upload = |condition| {
        let request = put(&id, &[OCTETS, condition]).body("data");
        server.request(&request)
    };
    upload(("If-Match", "\"x\"")).expect(412);
    assert_eq!(server.status_of(&id), "queued");
    upload(("If-Match", "*")).expect(200);
    assert_eq!(server.download(&id).expect(200).body, b"data");
}

#[test]
fn other_errors_precede_conditions() {
    let server = Server::shared();
    let wrong = [("If-Match", "\"x\"")];
    let missing = super::create::fresh_id();
    let protected = server.create(&[("x-image-meta-protected", "True")]);
    let delete = |id: &str| server.request(&Request::delete(&image_path(id)).headers(&wrong));
    delete(&missing).expect(404);
    delete(&protected).expect(403);
    let bad_field = put(&protected, &[("x-image-meta-min_disk", "x")]);
    server.request(&bad_field.headers(&wrong)).expect(400);
}

#[test]
fn image_without_checksum_matches_no_tag() {
    let server = Server::shared();
    let id = server.reserve();
    let members = format!("/v1/images/{id}/members");
    for change in [
        Request::put(&format!("{members}/t")),
        Request::put(&members).body("{\"memberships\": []}"),
        Request::post("/v1/images"),
    ] {
        server
            .request(&change.header("If-Match", "\"x\""))
            .expect(412);
    }
    let member = Request::put(&format!("{members}/t")).header("If-Match", "*");
    server.request(&member).expect(204);
}

/// Deletions state the tag that they have seen while the checksum of the image changes back and
/// forth. No deletion may remove an image with another tag.
#[test]
fn condition_is_checked_atomically_with_write() {
    let server = Setup::new().start();
    let (a, b) = ("a".repeat(32), "b".repeat(32));
    for _ in 0..20 {
        let id = server.create(&[("x-image-meta-checksum", &a)]);
        let set_b = put(&id, &[("x-image-meta-checksum", &b)]).header("If-Match", &a);
        let delete_a = Request::delete(&image_path(&id)).header("If-Match", &a);
        let (set, deleted) = std::thread::scope(|scope| {
            let set = scope.spawn(|| server.request(&set_b).status);
            let deleted = scope.spawn(|| server.request(&delete_a).status);
            (
                set.join().expect("no panic"),
                deleted.join().expect("no panic"),
            )
        });
        // The first change makes the condition of the other false, or removes the image.
        assert!(
            matches!((set, deleted), (200, 412) | (403, 200)),
            "PUT {set}, DELETE {deleted}"
        );
    }
}
