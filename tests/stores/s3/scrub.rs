//! Delayed deletion with images in S3, which may be unreachable when the scrubber runs.

use super::{Bucket, MIB};
use crate::support::gate::Mode;
use crate::support::scrubber::run;
use crate::support::server::{Server, Setup};
use crate::support::{eventually, pattern};

/// A size of several parts.
const LARGE: usize = 11 * MIB as usize + 5;

fn delaying(setup: Setup) -> Server {
    let setup = setup.option("delayed_delete", true);
    setup.option("scrub_in_api", false).start()
}

#[track_caller]
fn await_empty(bucket: &Bucket) {
    eventually("the bucket is empty", || {
        let is_empty = bucket.contents().objects.is_empty() && bucket.segments().is_empty();
        is_empty.then_some(())
    });
}

#[test]
fn delayed_deletes_are_restored_or_scrubbed() {
    let bucket = Bucket::new("scrubbed");
    let mut server = delaying(bucket.node());
    let data = pattern(LARGE, 1);
    let (kept, gone) = (server.upload(&[], &data), server.upload(&[], &data));
    for id in [&kept, &gone] {
        server.remove(id).expect(200);
        server.download(id).expect(404);
    }
    assert_eq!(bucket.contents().objects.len(), 2);
    server.kill();
    run(&server, &["--restore", &kept]).expect(0);
    server.start();
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 1, failed: 0, waiting: 0");
    assert!(server.download(&kept).expect(200).body == data);
    assert_eq!(
        bucket.contents().objects.keys().collect::<Vec<_>>(),
        [&kept]
    );
    run(&server, &["--restore", &gone])
        .expect(1)
        .says("from deleted to active");
    server.remove(&kept).expect(200);
    server.stop();
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 1, failed: 0, waiting: 0");
    await_empty(&bucket);
}

#[test]
fn failed_removals_are_retried() {
    let bucket = Bucket::new("away");
    let gate = bucket.gate();
    let mut server = delaying(bucket.node_behind(&gate));
    let id = server.upload(&[], &pattern(LARGE, 2));
    server.remove(&id).expect(200);
    gate.set(Mode::Closed);
    run(&server, &[])
        .expect(1)
        .says("images scrubbed: 0, failed: 1, waiting: 0");
    assert_eq!(
        server.status_of(&id),
        "deleted",
        "nobody may have it back half removed"
    );
    run(&server, &["--restore", &id]).expect(1);
    assert_eq!(bucket.contents().objects.len(), 1);

    // The node continues the removal by itself, also after it was killed.
    server.kill();
    server.start();
    assert_eq!(bucket.contents().objects.len(), 1);
    gate.set(Mode::Open);
    await_empty(&bucket);
}

#[test]
fn glance_scrubber_removes_remains() {
    let bucket = Bucket::new("alone");
    let gate = bucket.gate();
    let mut server = delaying(bucket.node_behind(&gate));
    let id = server.upload(&[], &pattern(LARGE, 3));
    server.remove(&id).expect(200);
    server.stop();
    gate.set(Mode::Closed);
    run(&server, &[]).expect(1).says("failed: 1");
    assert_eq!(bucket.contents().objects.len(), 1);
    gate.set(Mode::Open);
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 1, failed: 0, waiting: 0");
    await_empty(&bucket);
    server.start();
    assert_eq!(server.status_of(&id), "deleted");
}
