//! Images whose data stay on web servers.

use serde_json::json;

use super::{COPY_FROM, LOCATION, from, from_with, honest, open_node, open_setup};
use crate::support::http::Request;
use crate::support::md5_hex;
use crate::support::v1::{OCTETS, RAW, id_of, image_of, image_path, post, put, put_data};

#[test]
fn image_is_active_at_once_with_the_size_of_its_source() {
    let (node, origin) = (open_node(), honest(300_000));
    let answer = node.request(&from(LOCATION, &origin.url("/i"))).expect(201);
    let image = image_of(&answer);
    assert_eq!(
        [&image["status"], &image["size"], &image["checksum"]],
        [&json!("active"), &json!(300_000), &json!(null)]
    );
    assert_eq!(answer.header("etag"), None);
    assert_eq!(origin.count("HEAD"), 1);
    assert_eq!(origin.sent_bytes(), 0);
    let id = id_of(&answer);
    let got = node.download(&id).expect(200);
    assert_eq!(got.header("content-length"), Some("300000"));
    assert!(origin.content.all() == got.body);
    assert_eq!(origin.times_sent(), (1, 1));
    assert!(!node.has_stored(&id));
}

#[test]
fn range_is_requested_as_a_range() {
    let (node, origin) = (open_node(), honest(300_000));
    let id = id_of(&node.request(&from(LOCATION, &origin.url("/i"))).expect(201));
    for (range, first, last) in [
        ("bytes=0-9", 0, 9),
        ("bytes=1000-200000", 1000, 200_000),
        ("bytes=-1", 299_999, 299_999),
        ("bytes=299990-", 299_990, 299_999),
    ] {
        let request = Request::get(&image_path(&id)).header("Range", range);
        let got = node.request(&request).expect(206);
        assert!(origin.content.has(first, &got.body), "{range}");
        let sent = origin.seen().pop().expect("a request").sent;
        assert_eq!(sent, first..last + 1, "{range}");
    }
}

#[test]
fn stated_checksum_is_shown_and_verified() {
    let (node, origin) = (open_node(), honest(100_000));
    let sum = md5_hex(&origin.content.all());
    let stated = [("x-image-meta-checksum", sum.as_str())];
    let request = from_with(LOCATION, &origin.url("/i"), &stated);
    let answer = node.request(&request).expect(201);
    assert_eq!(answer.header("etag"), Some(sum.as_str()));
    let got = node.download(&id_of(&answer)).expect(200);
    assert!(origin.content.all() == got.body);
}

#[test]
fn a_reservation_may_get_its_location_later() {
    let (node, origin) = (open_node(), honest(5000));
    let id = node.reserve();
    let url = origin.url("/i");
    let answer = node.request(&put(&id, &[(LOCATION, &url)])).expect(200);
    assert_eq!(image_of(&answer)["status"], "active");
    assert_eq!(image_of(&answer)["size"], 5000);
    assert!(origin.content.all() == node.download(&id).expect(200).body);
    // The location of an active image cannot be replaced (CVE-2016-0757).
    for header in [LOCATION, COPY_FROM] {
        node.request(&put(&id, &[(header, &url)])).expect(400);
    }
    node.request(&put_data(&id, &[], b"data")).expect(409);
    assert!(origin.content.all() == node.download(&id).expect(200).body);
}

#[test]
fn a_size_that_differs_is_a_conflict_and_the_image_stays_queued() {
    let (node, origin) = (open_node(), honest(5000));
    let url = origin.url("/i");
    let wrong = [("x-image-meta-size", "4999")];
    let id = "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c01";
    let named = [("x-image-meta-id", id), wrong[0]];
    node.request(&from_with(LOCATION, &url, &named)).expect(409);
    assert_eq!(node.status_of(id), "queued");
    let right = [(LOCATION, url.as_str()), ("x-image-meta-size", "5000")];
    node.request(&put(id, &right)).expect(200);
    assert_eq!(node.status_of(id), "active");
    // Statements of the reservation are verified too.
    let id = node.create(&[RAW[0], RAW[1], wrong[0]]);
    node.request(&put(&id, &[(LOCATION, &url)])).expect(409);
    assert_eq!(node.status_of(&id), "queued");
}

#[test]
fn without_formats_the_image_stays_queued() {
    let (node, origin) = (open_node(), honest(5000));
    let url = origin.url("/i");
    let id = "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c02";
    let request = post(&[("x-image-meta-id", id), (LOCATION, &url)]);
    node.request(&request).expect(400);
    assert_eq!(node.status_of(id), "queued");
    node.request(&put(id, &[(LOCATION, &url)])).expect(400);
    assert_eq!(node.status_of(id), "queued");
    let both = [RAW[0], RAW[1], (LOCATION, url.as_str())];
    node.request(&put(id, &both)).expect(200);
}

#[test]
fn two_sources_are_refused() {
    let (node, origin) = (open_node(), honest(5000));
    let url = origin.url("/i");
    let ids = [
        "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c03",
        "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c04",
        "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c05",
    ];
    let named = |at: usize| [("x-image-meta-id", ids[at])];
    let both = from_with(LOCATION, &url, &[(COPY_FROM, &url), named(0)[0]]);
    let with_data = |header, at| {
        let request = from_with(header, &url, &named(at));
        request.headers(&[OCTETS]).body("data")
    };
    for request in [both, with_data(LOCATION, 1), with_data(COPY_FROM, 2)] {
        node.request(&request).expect(400);
    }
    for id in ids {
        assert_eq!(node.status_of(id), "queued");
        assert!(!node.has_stored(id));
        // A queued image may still get its data.
        let request = put_data(id, &[(LOCATION, &url)], b"data");
        node.request(&request).expect(400);
        node.request(&put_data(id, &[], b"data")).expect(200);
    }
}

#[test]
fn deleting_the_image_leaves_the_source_alone() {
    let origin = honest(5000);
    for delayed in [false, true] {
        let node = open_setup().option("delayed_delete", delayed).start();
        let id = id_of(&node.request(&from(LOCATION, &origin.url("/i"))).expect(201));
        let before = origin.seen().len();
        node.remove(&id).expect(200);
        node.download(&id).expect(404);
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(origin.seen().len(), before);
    }
    let methods: Vec<_> = origin.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["HEAD", "HEAD"]);
}

#[test]
fn location_survives_a_restart() {
    let mut node = open_setup().start();
    let origin = honest(5000);
    let id = id_of(&node.request(&from(LOCATION, &origin.url("/i"))).expect(201));
    node.restart();
    assert!(origin.content.all() == node.download(&id).expect(200).body);
}

#[test]
fn properties_are_purged_by_an_update_with_a_location() {
    let (node, origin) = (open_node(), honest(10));
    let id = node.create(&[RAW[0], RAW[1], ("x-image-meta-property-a", "1")]);
    let answer = node.request(&put(&id, &[(LOCATION, &origin.url("/"))]));
    assert_eq!(image_of(&answer.expect(200))["properties"], json!({}));
}

#[test]
fn a_source_may_be_empty() {
    let (node, origin) = (open_node(), honest(0));
    let id = id_of(&node.request(&from(LOCATION, &origin.url("/i"))).expect(201));
    assert_eq!(node.status_of(&id), "active");
    assert!(node.download(&id).expect(200).body.is_empty());
}

#[test]
fn http_store_takes_no_data() {
    let node = open_node();
    let into_http = ("x-image-meta-store", "http");
    let id = "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c06";
    let headers = [OCTETS, into_http, ("x-image-meta-id", id)];
    let request = post(RAW).headers(&headers).body("data");
    node.request(&request).expect(410);
    assert_eq!(node.status_of(id), "killed");
    let reserved = node.reserve();
    node.request(&put_data(&reserved, &[into_http], b"data"))
        .expect(410);
    assert_eq!(node.status_of(&reserved), "killed");
}
