//! A backend that refuses, cuts and stalls: the client receives a clear error, and nothing is left.

use std::thread;
use std::time::{Duration, Instant};

use super::{Bucket, MIB};
use crate::support::eventually;
use crate::support::gate::{Gate, Mode, Way};
use crate::support::http::{Connection, Request};
use crate::support::pattern;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, image_path, put_data};

const LARGE: usize = 17 * MIB as usize + 4_321;

/// Asserts that S3 has nothing of an image, now and a moment later.
#[track_caller]
fn assert_nothing_left(bucket: &Bucket, id: &str) {
    eventually("S3 is empty", || bucket.segments().is_empty().then_some(()));
    let contents = bucket.contents();
    assert!(contents.uploads.is_empty(), "{contents:?}");
    assert!(!contents.objects.contains_key(id), "{contents:?}");
}

/// Runs `act` while every connection is cut after a number of bytes.
fn while_cutting(gate: &Gate, way: Way, after_bytes: u64, act: impl FnOnce()) {
    gate.cut_each(way, after_bytes);
    act();
    gate.cut_none(way);
}

/// Starts an upload that will be incomplete.
fn begin(server: &Server, id: &str, sent: &[u8]) -> Connection {
    let mut connection = server.connect();
    let request = Request::put(&image_path(id))
        .headers(&[OCTETS])
        .header("Content-Length", (3 * LARGE).to_string());
    connection.send_head(&request).expect("sent");
    connection.send_bytes(sent).expect("sent");
    connection
}

#[test]
fn wrong_key_is_logged_and_hidden_from_clients() {
    let mut bucket = Bucket::new("wrong-key");
    bucket.service.account.key = "CANARY-of-the-secret".to_owned();
    let setup = bucket.node().option("debug", true);
    let server = setup
        .option_in("glance_store", "s3_store_large_object_size", 16)
        .start();
    // In one request, small and large, and as a multipart upload.
    for len in [1_000, 12 * MIB as usize, LARGE] {
        let (id, data) = (server.reserve(), pattern(len, 1));
        let answer = server.request(&put_data(&id, &[], &data)).expect(503);
        assert!(!answer.text().contains("CANARY"), "{}", answer.text());
        assert!(!answer.text().contains("test:tester"), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        assert_eq!(server.status_of(&id), "killed");
    }
    let log = eventually("it is said of each", || {
        let log = server.log();
        let said = log.matches("SignatureDoesNotMatch (HTTP 403)").count();
        (said >= 3).then_some(log)
    });
    assert!(log.contains("check s3_store_access_key"), "{log}");
    assert!(!log.contains("CANARY"), "{log}");
}

#[test]
fn interrupted_upload_leaves_nothing() {
    let bucket = Bucket::new("broken-off");
    let server = bucket.node().start();
    let id = server.reserve();
    let connection = begin(&server, &id, &pattern(LARGE, 1));
    eventually("parts are in S3", || {
        (bucket.segments().len() >= 3).then_some(())
    });
    drop(connection);
    eventually("the image is killed", || {
        (server.status_of(&id) == "killed").then_some(())
    });
    assert_nothing_left(&bucket, &id);
}

#[test]
fn delete_during_an_upload_stops_it_at_once() {
    let bucket = Bucket::new("deleted");
    let server = bucket.node().start();
    let id = server.reserve();
    let mut connection = begin(&server, &id, &pattern(LARGE, 1));
    eventually("parts are in S3", || {
        (bucket.segments().len() >= 3).then_some(())
    });
    let began = Instant::now();
    server.remove(&id).expect(200);
    let answer = connection.read_response("PUT").expect("an answer");
    assert_eq!(answer.status, 412);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    assert_nothing_left(&bucket, &id);
}

#[test]
fn cut_part_is_sent_again() {
    let bucket = Bucket::new("cut-once");
    let gate = bucket.gate();
    let server = bucket.node_behind(&gate).start();
    gate.cut(Way::Up, 3_000_000);
    let data = pattern(LARGE, 1);
    let id = server.upload(&[], &data);
    assert!(!gate.is_cut_pending(Way::Up));
    assert!(server.download(&id).expect(200).body == data);
    assert_eq!(bucket.contents().objects[&id].parts, 4);
}

#[test]
fn backend_that_always_cuts_kills_the_image() {
    let bucket = Bucket::new("always-cut");
    let gate = bucket.gate();
    let server = bucket.node_behind(&gate).start();
    let id = server.reserve();
    while_cutting(&gate, Way::Up, 1_000_000, || {
        let put = put_data(&id, &[], &pattern(LARGE, 1));
        server.request(&put).expect(503);
    });
    assert_eq!(server.status_of(&id), "killed");
    assert_nothing_left(&bucket, &id);
}

#[test]
fn stalled_backend_kills_the_image_and_is_cleaned_later() {
    let bucket = Bucket::new("stalled");
    let gate = bucket.gate();
    let setup = bucket.node_behind(&gate);
    let server = setup
        .option_in("glance_store", "s3_store_response_timeout", 1)
        .start();
    let id = server.reserve();
    thread::scope(|scope| {
        let put = || server.request(&put_data(&id, &[], &pattern(2 * LARGE, 1)));
        let put = scope.spawn(put);
        eventually("a part is under way", || {
            (gate.passed_bytes(Way::Up) > 2_000_000).then_some(())
        });
        gate.set(Mode::Silent);
        put.join().expect("an answer").expect(503);
    });
    assert_eq!(server.status_of(&id), "killed");
    eventually("the cause is in the log", || {
        server.log().contains("no response for 1 s").then_some(())
    });
    gate.set(Mode::Open);
    assert_nothing_left(&bucket, &id);
}

#[test]
fn unreachable_backend_fails_at_once() {
    let bucket = Bucket::new("away");
    let gate = bucket.gate();
    let server = bucket.node_behind(&gate).start();
    let id = server.upload(&[], &pattern(LARGE, 1));
    gate.set(Mode::Closed);
    server.request(&Request::get(&image_path(&id))).expect(503);
    let other = server.reserve();
    server.request(&put_data(&other, &[], b"data")).expect(503);
    // An image deleted while S3 is unreachable is removed later.
    server.remove(&id).expect(200);
    gate.set(Mode::Open);
    assert_nothing_left(&bucket, &id);
}

#[test]
fn download_resumes_where_it_was_cut() {
    let bucket = Bucket::new("cut-answers");
    let gate = bucket.gate();
    let server = bucket.node_behind(&gate).start();
    let data = pattern(LARGE, 1);
    let id = server.upload(&[], &data);
    let before = gate.connections();
    while_cutting(&gate, Way::Down, 1_500_000, || {
        assert!(server.download(&id).expect(200).body == data);
    });
    let resumed = gate.connections() - before;
    assert!(resumed >= 10, "{resumed}");
}

#[test]
fn download_resumes_only_the_same_object() {
    let bucket = Bucket::new("swapped");
    let gate = bucket.gate();
    let server = bucket.node_behind(&gate).start();
    let id = server.upload(&[], &pattern(LARGE, 1));
    let mut connection = server.connect();
    let get = Request::get(&image_path(&id));
    gate.hold(Way::Down, 1_500_000);
    connection.send(&get).expect("sent");
    let len = connection
        .read_head()
        .expect("a head")
        .header("content-length")
        .map(str::to_owned);
    assert_eq!(len, Some(LARGE.to_string()));
    // The object is replaced before the rest was read.
    eventually("nothing more comes", || {
        (gate.mode() == Mode::Silent).then_some(())
    });
    bucket.overwrite(&id, &pattern(LARGE, 2));
    gate.set(Mode::Closed);
    gate.set(Mode::Open);
    assert!(connection.read_bytes(LARGE).is_err());
    eventually("the cause is in the log", || {
        server.log().contains("PreconditionFailed").then_some(())
    });
}

#[test]
fn replaced_object_fails() {
    let bucket = Bucket::new("replaced");
    let server = bucket.node().start();
    let data = pattern(300_000, 1);
    let id = server.upload(&[], &data);
    for len in [299_999, 300_001] {
        bucket.overwrite(&id, &pattern(len, 2));
        server.request(&Request::get(&image_path(&id))).expect(500);
    }
    bucket.remove(&id);
    server.request(&Request::get(&image_path(&id))).expect(404);
}
