//! Images that are copied from web servers.

use serde_json::json;

use super::{COPY_FROM, end_of_copy, from, from_with, honest, open_node, open_setup};
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::v1::{Headers, OCTETS, RAW, id_of, image_of, image_path, put};
use crate::support::{md5_hex, pattern};

const SIZE_BYTES: u64 = 3_000_000;

#[test]
fn copy_continues_after_the_response() {
    let (node, origin) = (open_node(), honest(SIZE_BYTES));
    let answer = node
        .request(&from(COPY_FROM, &origin.url("/i")))
        .expect(201);
    let image = image_of(&answer);
    assert_eq!(
        [&image["status"], &image["size"], &image["checksum"]],
        [&json!("queued"), &json!(SIZE_BYTES), &json!(null)]
    );
    let id = id_of(&answer);
    assert_eq!(end_of_copy(node, &id), "active");
    assert_eq!(origin.times_sent(), (1, 1));
    let got = node.download(&id).expect(200);
    assert!(origin.content.all() == got.body);
    assert_eq!(got.header("etag"), Some(origin.content.md5_hex().as_str()));
    // The data are in the node's store now.
    drop(origin);
    node.download(&id).expect(200);
    assert!(node.has_stored(&id));
    node.remove(&id).expect(200);
    node.await_nothing_stored(&id);
}

#[test]
fn a_reservation_may_be_filled_by_a_copy() {
    let (node, origin) = (open_node(), honest(SIZE_BYTES));
    let id = node.create(&[]);
    let answer = node.request(&put(&id, &[(COPY_FROM, &origin.url("/i"))]));
    assert_eq!(image_of(&answer.expect(200))["size"], SIZE_BYTES);
    assert_eq!(end_of_copy(node, &id), "active");
    assert!(origin.content.all() == node.download(&id).expect(200).body);
}

#[test]
fn node_copies_from_another_node() {
    let (node, other) = (open_node(), open_setup().start());
    let data = pattern(1_234_567, 7);
    for (id, data) in [
        (other.upload(&[], &data), &data[..]),
        (other.create(&[RAW[0], ("x-image-meta-size", "0")]), b""),
    ] {
        let url = format!("http://{}{}", other.address(), image_path(&id));
        let answer = node.request(&from(COPY_FROM, &url)).expect(201);
        assert_eq!(image_of(&answer)["size"], data.len());
        let copy = id_of(&answer);
        assert_eq!(end_of_copy(node, &copy), "active");
        let got = node.download(&copy).expect(200);
        assert!(got.body == data);
        assert_eq!(got.header("etag"), Some(md5_hex(data).as_str()));
    }
}

#[test]
fn stated_size_and_checksum_must_match() {
    let (node, origin) = (open_node(), honest(SIZE_BYTES));
    let sum = origin.content.md5_hex();
    let size = SIZE_BYTES.to_string();
    let cases: [(Headers, &str); 5] = [
        (&[("x-image-meta-checksum", &sum)], "active"),
        (&[("x-image-meta-size", &size)], "active"),
        (&[("x-image-meta-size", "0")], "active"),
        (&[("x-image-meta-checksum", "0123")], "killed"),
        (&[("x-image-meta-size", "2999999")], "killed"),
    ];
    for (headers, end) in cases {
        let request = from_with(COPY_FROM, &origin.url("/i"), headers);
        let id = id_of(&node.request(&request).expect(201));
        assert_eq!(end_of_copy(node, &id), end, "{headers:?}");
        if end == "killed" {
            node.await_nothing_stored(&id);
            node.download(&id).expect(404);
        }
    }
}

#[test]
fn missing_source_creates_no_image() {
    let node = open_node();
    let origin = Origin::start(Content::new(1, 10), |_| Answer::status(404));
    let id = "6b3e6f6a-6f1c-4d4e-9a53-8f6a5f1b6c11";
    let named = [("x-image-meta-id", id)];
    let request = from_with(COPY_FROM, &origin.url("/i"), &named);
    node.request(&request).expect(404);
    node.head(id).expect(404);
    let id = node.reserve();
    let copy = put(&id, &[(COPY_FROM, &origin.url("/i"))]);
    node.request(&copy).expect(404);
    assert_eq!(node.status_of(&id), "queued");
    node.request(&put(&id, &[OCTETS]).body("data")).expect(200);
}

#[test]
fn source_may_refuse_head() {
    let node = open_node();
    for refusal in [403, 405, 500, 501] {
        let origin = Origin::start(Content::new(1, 5000), move |seen| {
            match seen.method.as_str() {
                "HEAD" => Answer::status(refusal),
                _ => Answer::whole(),
            }
        });
        let answer = node
            .request(&from(COPY_FROM, &origin.url("/i")))
            .expect(201);
        assert_eq!(image_of(&answer)["size"], 5000);
        assert_eq!(end_of_copy(node, &id_of(&answer)), "active");
    }
}

#[test]
fn source_may_ignore_ranges() {
    let node = open_node();
    let origin = Origin::start(Content::new(1, 5000), |seen| match seen.method.as_str() {
        "HEAD" => Answer::status(405),
        _ => Answer::whole().ignores_ranges(),
    });
    let id = id_of(
        &node
            .request(&from(COPY_FROM, &origin.url("/i")))
            .expect(201),
    );
    assert_eq!(end_of_copy(node, &id), "active");
    assert!(origin.content.all() == node.download(&id).expect(200).body);
}

#[test]
fn target_store_may_be_named() {
    let (node, origin) = (open_node(), honest(5000));
    let into = |store| {
        let headers = [("x-image-meta-store", store)];
        from_with(COPY_FROM, &origin.url("/i"), &headers)
    };
    let id = id_of(&node.request(&into("file")).expect(201));
    assert_eq!(end_of_copy(node, &id), "active");
    // A store that takes no data is detected when the copy starts.
    let id = id_of(&node.request(&into("http")).expect(201));
    assert_eq!(end_of_copy(node, &id), "killed");
    node.request(&into("tape")).expect(400);
}

#[test]
fn a_source_above_the_largest_image_is_refused() {
    let node = open_setup().option("image_size_cap", 10_000).start();
    let (large, fits) = (honest(10_001), honest(10_000));
    for header in [COPY_FROM, super::LOCATION] {
        node.request(&from(header, &large.url("/i"))).expect(413);
    }
    assert_eq!(large.sent_bytes(), 0);
    let id = id_of(&node.request(&from(COPY_FROM, &fits.url("/i"))).expect(201));
    assert_eq!(end_of_copy(&node, &id), "active");
}

#[test]
fn both_file_io_engines_take_copies() {
    for backend in ["threads", "auto"] {
        let node = open_setup().option("io_backend", backend).start();
        let origin = honest(SIZE_BYTES);
        let id = id_of(
            &node
                .request(&from(COPY_FROM, &origin.url("/i")))
                .expect(201),
        );
        assert_eq!(end_of_copy(&node, &id), "active");
        assert!(origin.content.all() == node.download(&id).expect(200).body);
    }
}

#[test]
fn python_glanceclient_escapes_are_decoded() {
    let (node, origin) = (open_node(), honest(5000));
    let escaped = origin.url("/i").replace(':', "%3A").replace('/', "%2F");
    let agent = [("User-Agent", "python-glanceclient")];
    let request = from_with(COPY_FROM, &escaped, &agent);
    let id = id_of(&node.request(&request).expect(201));
    assert_eq!(end_of_copy(node, &id), "active");
}
