//! Cached images are served only to callers that may read the image, and only while it exists.

use super::node::{MIB, caching, files, fills, locate, patient};
use super::reader::{Reader, read_image};
use crate::support::eventually;
use crate::support::http::Request;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::server::Server;
use crate::support::v1::{RAW, id_of, image_path, post};

fn kept(node: &Server, origin: &Origin) -> String {
    let id = locate(node, origin);
    assert!(read_image(node.address(), &id, &origin.content.all()).is_good());
    eventually("it is kept", || (fills(node, "kept") >= 1).then_some(()));
    id
}

#[test]
fn deleted_image_is_not_served_and_leaves_the_cache() {
    let node = caching().start();
    let origin = Origin::honest(Content::new(11, MIB));
    let id = kept(&node, &origin);
    assert_eq!(files(&node).len(), 1);
    node.remove(&id).expect(200);
    node.request(&Request::get(&image_path(&id))).expect(404);
    eventually("its file is gone", || files(&node).is_empty().then_some(()));
}

#[test]
fn readers_of_a_deleted_image_may_finish() {
    let node = caching().start();
    let origin = Origin::honest(Content::new(12, 24 * MIB));
    let id = kept(&node, &origin);
    let all = origin.content.all();
    let reader = Reader::send(node.address(), &id, "").expect("sent");
    let reader = reader.answered();
    node.remove(&id).expect(200);
    assert!(reader.read(&all, u64::MAX).is_good());
}

/// Returns the identity headers that a proxy adds.
fn from(tenant: &str) -> String {
    format!(
        "X-Identity-Status: Confirmed\r\nX-User-Id: u\r\nX-Tenant-Id: {tenant}\r\nX-Roles: member\r\n"
    )
}

#[test]
fn private_cached_image_is_hidden_from_others() {
    let node = caching()
        .option_in("paste_deploy", "flavor", "trusted-auth+cachemanagement")
        .start();
    let origin = Origin::honest(Content::new(13, MIB));
    let all = origin.content.all();
    let identity = |tenant| {
        [
            ("X-Identity-Status", "Confirmed"),
            ("X-User-Id", "u"),
            ("X-Tenant-Id", tenant),
            ("X-Roles", "member"),
        ]
    };
    let url = origin.url("/image");
    let request = post(RAW)
        .headers(&[("x-image-meta-location", &*url)])
        .headers(&identity("mine"));
    let id = id_of(&node.request(&request).expect(201));
    let read = |lines: &str| {
        let reader = Reader::send(node.address(), &id, lines).expect("sent");
        reader.read(&all, u64::MAX)
    };
    assert!(read(&from("mine")).is_good());
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    assert!(read(&from("mine")).is_good());
    assert_eq!(read(&from("theirs")).status, 404);
    assert_eq!(read("").status, 401);
    // A member may not manage the cache.
    let list = Request::get("/v1/cached_images").headers(&identity("mine"));
    node.request(&list).expect(403);
}

#[test]
fn policy_applies_to_cached_images() {
    let policy = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(policy.path(), "{}").expect("written");
    let node = patient()
        .option_in("oslo_policy", "policy_file", policy.path().display())
        .start();
    let origin = Origin::honest(Content::new(14, MIB));
    let id = kept(&node, &origin);
    let hold = Hold::default();
    let holding = hold.clone();
    let slow = Origin::start(Content::new(15, 2 * MIB), move |seen| match &*seen.method {
        "GET" => Answer::whole().hold_after(MIB, &holding),
        _ => Answer::whole(),
    });
    let slow_id = locate(&node, &slow);
    let reading = Reader::send(node.address(), &slow_id, "").expect("sent");
    let reading = reading.answered();
    std::fs::write(policy.path(), r#"{"download_image": "!"}"#).expect("written");
    node.signal("HUP");
    eventually("the policy is in force", || {
        let answer = node.request(&Request::get(&image_path(&id)));
        (answer.status == 403).then_some(())
    });
    // Neither a range nor a running fill of another reader is served.
    let part = Request::get(&image_path(&id)).header("Range", "bytes=0-9");
    node.request(&part).expect(403);
    node.request(&Request::get(&image_path(&slow_id)))
        .expect(403);
    hold.release();
    assert!(reading.read(&slow.content.all(), u64::MAX).is_good());
}
