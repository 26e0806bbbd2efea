//! API servers that share a registry server.

use std::process::Command;
use std::time::Duration;

use super::half_an_upload;
use crate::support::http::Request;
use crate::support::late_writes::LateWrites;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{OCTETS, RAW, post, post_data, put, put_data};
use crate::support::within;

/// Starts two API servers that share a registry server and a folder of images.
fn two(registry: &Server) -> (tempfile::TempDir, [Server; 2]) {
    let images = temp_folder();
    let nodes = [(); 2].map(|()| {
        Setup::new()
            .registry_at(registry.address())
            .store_dir(images.path())
            .start()
    });
    (images, nodes)
}

#[test]
fn write_of_one_server_is_visible_at_the_other_at_once() {
    let registry = Setup::registry().start();
    let (_images, [a, b]) = two(&registry);
    let id = a.upload(&[("x-image-meta-is_public", "True")], b"data");
    assert_eq!(b.download(&id).expect(200).body, b"data");
    for name in ["one", "two", "three"] {
        a.request(&put(&id, &[("x-image-meta-name", name)]))
            .expect(200);
        let head = b.head(&id).expect(200);
        assert_eq!(head.header("x-image-meta-name"), Some(name));
    }
    assert_eq!(b.listed("name=three"), [&*id]);
    b.remove(&id).expect(200);
    a.download(&id).expect(404);
    a.await_nothing_stored(&id);
    let metrics = a.metrics();
    assert!(metrics.contains("glance_registry_request_duration_seconds_count{backend=\"remote\""));
}

#[test]
fn quota_is_enforced_by_the_registry_server() {
    let registry = Setup::registry().option("user_image_quota", 2).start();
    let (_images, [a, b]) = two(&registry);
    a.create(&[]);
    b.create(&[]);
    let refused = a.request(&post(&[])).expect(413);
    assert!(refused.text().contains("Maximum: 2"), "{}", refused.text());
}

#[test]
fn unreachable_registry_delays_requests_and_loses_no_image() {
    let mut registry = Setup::registry().start();
    let (_images, [a, _b]) = two(&registry);
    let id = a.upload(&[], b"kept");
    registry.kill();
    for answer in [a.head(&id), a.download(&id), a.request(&post(RAW))] {
        let answer = answer.expect(503);
        assert!(answer.header("retry-after").is_some());
    }
    let health = a.request(&Request::get("/healthcheck"));
    assert_eq!(health.status, 503);
    registry.start();
    assert_eq!(a.download(&id).expect(200).body, b"kept");
    a.create(&[]);
}

#[test]
fn starting_server_waits_for_the_registry() {
    let mut registry = Setup::registry().start();
    let address = registry.address();
    registry.kill();
    let mut node = Setup::new().registry_at(address).prepare();
    node.spawn();
    within(Duration::from_secs(10), "it waits", || {
        node.log().contains("waiting for the registry")
    });
    registry.start();
    within(Duration::from_secs(10), "it serves", || {
        node.log().contains("glance-api 0.1.0 listens")
    });
    node.stop();
    registry.kill();
    node.set_up(|setup| setup.option("registry_start_timeout", 1));
    node.spawn();
    assert!(!node.wait(Duration::from_secs(20)).success());
    assert!(
        node.log().contains("registry_start_timeout"),
        "{}",
        node.log()
    );
}

#[test]
fn upload_survives_the_start_of_another_server() {
    let registry = Setup::registry().start();
    let (_images, [mut a, mut b]) = two(&registry);
    let (id, mut upload) = half_an_upload(&a, &b);
    b.restart();
    assert_eq!(b.status_of(&id), "saving", "it is under way at the other");
    upload.send_bytes(b"half").expect("half");
    upload.read_response("PUT").expect("an answer").expect(200);
    assert_eq!(b.download(&id).expect(200).body, b"halfhalf");

    // An upload that its own server has abandoned is killed by that server.
    let id = a.reserve();
    let mut upload = a.connect();
    upload
        .send_head(&put(&id, &[OCTETS]).header("Content-Length", "8"))
        .expect("a head");
    within(Duration::from_secs(5), "it is saving", || {
        b.status_of(&id) == "saving"
    });
    a.kill();
    assert_eq!(b.status_of(&id), "saving");
    a.start();
    assert_eq!(b.status_of(&id), "killed");
}

#[test]
fn upload_ends_when_another_server_deletes_its_image() {
    let registry = Setup::registry().start();
    let (_images, [a, b]) = two(&registry);
    let (id, mut upload) = half_an_upload(&a, &b);
    b.remove(&id).expect(200);
    upload.read_response("PUT").expect("an answer").expect(412);
    b.await_nothing_stored(&id);
    within(Duration::from_secs(5), "nothing is staged", || {
        a.stored_files().is_empty()
    });
}

const NEW_ID: &str = "0a0b0c0d-0000-4000-8000-000000000001";

/// The first attempt of each write arrives after the timeout of the server that sent it, and just
/// before the second attempt.
#[test]
fn write_that_arrives_late_succeeds() {
    let registry = Setup::registry().start();
    let late = LateWrites::before(registry.address());
    let setup = Setup::new().registry_at(late.address());
    let node = setup.option("registry_client_timeout", 5).start();
    late.hold("\"status\":\"saving\"");
    let new_id = ("x-image-meta-id", NEW_ID);
    node.request(&post_data(&[new_id], b"new")).expect(201);
    assert_eq!(late.delivered(), 1);
    assert_eq!(node.status_of(NEW_ID), "active");
    node.request(&post_data(&[new_id], b"other")).expect(409);

    let id = node.reserve();
    late.hold("\"status\":\"active\"");
    node.request(&put_data(&id, &[], b"data")).expect(200);
    assert_eq!(late.delivered(), 2);
    assert_eq!(node.download(&id).expect(200).body, b"data");
    late.hold("\"renamed\"");
    node.request(&put(&id, &[("x-image-meta-name", "renamed")]))
        .expect(200);
    assert_eq!(late.delivered(), 3);
    late.hold("\"status\":\"deleted\"");
    node.remove(&id).expect(200);
    assert_eq!(late.delivered(), 4);
    node.download(&id).expect(404);
    node.await_nothing_stored(&id);
}

#[test]
fn upload_that_is_registered_late_is_ended() {
    let registry = Setup::registry().start();
    let late = LateWrites::before(registry.address());
    let setup = Setup::new().registry_at(late.address());
    let node = setup.option("registry_client_timeout", 5).start();
    late.hold_and_stall("\"status\":\"saving\"");
    let post = post_data(&[("x-image-meta-id", NEW_ID)], b"new");
    node.request(&post).expect(503);
    late.go_on();
    within(Duration::from_secs(30), "the cleaner finds nothing", || {
        late.has_answered(&format!("GET /images/{NEW_ID}"))
    });
    late.deliver();
    within(Duration::from_secs(40), "it is killed", || {
        node.status_of(NEW_ID) == "killed"
    });
    node.await_nothing_stored(NEW_ID);
}

/// Copies a folder to a path that does not exist.
#[track_caller]
fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.expect("cp").success());
}

#[test]
fn lost_state_of_a_restored_registry_is_neither_served_nor_written_back() {
    let mut registry = Setup::registry().start();
    let (_images, [a, b]) = two(&registry);
    let name = |name| {
        [
            ("x-image-meta-name", name),
            ("x-glance-registry-purge-props", "false"),
        ]
    };
    let id = a.create(&name("kept"));
    let folder = registry.data_dir();
    let backup = registry.folder().join("backup");
    registry.stop();
    copy(&folder, &backup);
    registry.start();
    let lost = [
        name("lost").as_slice(),
        &[("x-image-meta-property-lost", "yes")],
    ]
    .concat();
    a.request(&put(&id, &lost)).expect(200);
    assert_eq!(a.head(&id).header("x-image-meta-name"), Some("lost"));

    registry.stop();
    std::fs::remove_dir_all(&folder).expect("a folder");
    copy(&backup, &folder);
    registry.start();
    // A different write gets version 2.
    b.request(&put(&id, &name("other"))).expect(200);
    let seen = a.head(&id).expect(200);
    assert_eq!(seen.header("x-image-meta-name"), Some("other"));
    let public = [("x-image-meta-is_public", "True"), name("")[1]];
    a.request(&put(&id, &public)).expect(200);
    let seen = b.head(&id).expect(200);
    assert_eq!(seen.header("x-image-meta-name"), Some("other"));
    assert_eq!(seen.header("x-image-meta-property-lost"), None);
}
