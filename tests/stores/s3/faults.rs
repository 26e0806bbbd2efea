//! A backend that refuses, cuts and stalls: a clear answer, and nothing left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::line::{Fate, Line};
use super::{Bucket, MIB};
use crate::support::eventually;
use crate::support::http::{Connection, Request};
use crate::support::pattern;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, image_path, put_data};

const LARGE: usize = 17 * MIB as usize + 4_321;

/// Nothing of an image is in S3, nor comes to be there.
#[track_caller]
fn assert_nothing_left(bucket: &Bucket, id: &str) {
    eventually("S3 is empty", || bucket.segments().is_empty().then_some(()));
    let contents = bucket.contents();
    assert!(contents.uploads.is_empty(), "{contents:?}");
    assert!(!contents.objects.contains_key(id), "{contents:?}");
}

/// Begins an upload of which not everything will come.
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
fn a_wrong_key_is_said_in_the_log_and_not_to_clients() {
    let mut bucket = Bucket::new("wrong-key");
    bucket.service.account.key = "CANARY-of-the-secret".to_owned();
    let setup = bucket.node().option("debug", true);
    let server = setup
        .option_in("glance_store", "s3_store_large_object_size", 16)
        .start();
    // In one request, small and large, and in parts.
    for len in [1_000, 12 * MIB as usize, LARGE] {
        let (id, data) = (server.reserve(), pattern(len, 1));
        let answer = server.request(&put_data(&id, &[], &data)).expect(503);
        assert!(!answer.text().contains("CANARY"), "{}", answer.text());
        assert!(!answer.text().contains("test:tester"), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        assert_eq!(server.status_of(&id), "killed");
    }
    let log = server.log();
    let said = log.matches("SignatureDoesNotMatch (HTTP 403)").count();
    assert!(said >= 3, "{log}");
    assert!(log.contains("check s3_store_access_key"), "{log}");
    assert!(!log.contains("CANARY"), "{log}");
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
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
fn a_delete_during_an_upload_stops_it_at_once() {
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
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
    assert_nothing_left(&bucket, &id);
}

#[test]
fn a_connection_that_is_cut_in_a_part_is_made_again() {
    let bucket = Bucket::new("cut-once");
    let line = Line::to(&bucket.service.url);
    let server = bucket.node_over(&line).start();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    // Two are cut: fewer than the times that a part is sent, should both have the same.
    line.set(move || match counted.fetch_add(1, Ordering::Relaxed) {
        1 | 2 => Fate::CutRequests(3_000_000),
        _ => Fate::Whole,
    });
    let data = pattern(LARGE, 1);
    let id = server.upload(&[], &data);
    assert!(connections.load(Ordering::Relaxed) > 3);
    assert!(server.download(&id).expect(200).body == data);
    assert_eq!(bucket.contents().objects[&id].parts, 4);
}

#[test]
fn a_backend_that_always_cuts_kills_the_image() {
    let bucket = Bucket::new("always-cut");
    let line = Line::to(&bucket.service.url);
    let server = bucket.node_over(&line).start();
    line.set(|| Fate::CutRequests(3_000_000));
    let id = server.reserve();
    server
        .request(&put_data(&id, &[], &pattern(LARGE, 1)))
        .expect(503);
    assert_eq!(server.status_of(&id), "killed");
    line.set(|| Fate::Whole);
    assert_nothing_left(&bucket, &id);
}

#[test]
fn a_backend_that_stalls_kills_the_image_and_is_cleaned_when_it_is_back() {
    let bucket = Bucket::new("stalled");
    let line = Line::to(&bucket.service.url);
    let setup = bucket.node_over(&line);
    let server = setup
        .option_in("glance_store", "s3_store_response_timeout", 1)
        .start();
    line.set(|| Fate::StopRequests(2_000_000));
    let id = server.reserve();
    let began = Instant::now();
    server
        .request(&put_data(&id, &[], &pattern(LARGE, 1)))
        .expect(503);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    assert!(
        server.log().contains("no answer for 1 s"),
        "{}",
        server.log()
    );
    assert_eq!(server.status_of(&id), "killed");
    line.set(|| Fate::Whole);
    assert_nothing_left(&bucket, &id);
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let bucket = Bucket::new("cut-answers");
    let line = Line::to(&bucket.service.url);
    let server = bucket.node_over(&line).start();
    let data = pattern(LARGE, 1);
    let id = server.upload(&[], &data);
    let mut cuts: Vec<usize> = (0..8).map(|cut| 400_000 + cut * 333_333).collect();
    line.set(move || cuts.pop().map_or(Fate::Whole, Fate::CutAnswers));
    assert!(server.download(&id).expect(200).body == data);
    let resumed = server.log().matches("asked for the rest").count();
    assert!(resumed >= 4, "{resumed}");
}

#[test]
fn a_download_goes_on_with_the_same_object_or_not_at_all() {
    let bucket = Bucket::new("swapped");
    let line = Line::to(&bucket.service.url);
    let server = bucket.node_over(&line).start();
    let id = server.upload(&[], &pattern(900_000, 1));
    let (swapping, key) = (bucket.clone(), id.clone());
    let mut cuts = 0;
    line.set(move || {
        cuts += 1;
        match cuts {
            1 => Fate::CutAnswers(400_000),
            _ => {
                // As long as the image, and something else.
                swapping.overwrite(&key, &pattern(900_000, 2));
                Fate::Whole
            }
        }
    });
    let get = Request::get(&image_path(&id));
    assert!(server.connect().exchange(&get).is_err());
    assert!(
        server.log().contains("PreconditionFailed"),
        "{}",
        server.log()
    );
}

#[test]
fn an_object_that_was_replaced_is_no_image() {
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
