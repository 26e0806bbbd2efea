//! kill -9 during a scrubber pass: started deletions are completed, other images are not touched.

use std::time::Duration;

use super::delaying;
use crate::support::scrubber::{command, run};
use crate::support::server::{Server, Setup};
use crate::support::{PATIENCE, pattern, within};

const IMAGES: usize = 60;

/// Deleted images that wait for the scrubber, and one that is kept.
fn filled(server: &Server) -> (Vec<String>, String) {
    let ids: Vec<_> = (0..IMAGES)
        .map(|number| server.upload(&[], &pattern(20_000, number as u64)))
        .collect();
    for id in &ids {
        server.remove(id).expect(200);
    }
    (ids, server.upload(&[], b"kept"))
}

/// Every image is complete or finally deleted; none is deleted with data left behind.
#[track_caller]
fn assert_ended(server: &Server, ids: &[String], kept: &str) {
    within(PATIENCE, "all are scrubbed", || {
        ids.iter().all(|id| server.status_of(id) == "deleted") && server.stored_files().len() == 1
    });
    assert_eq!(server.download(kept).expect(200).body, b"kept");
    // A record forgets its data after they are removed.
    within(PATIENCE, "nothing counts against quotas any more", || {
        let metrics = server.metrics();
        metrics.contains("glance_image_bytes{state=\"kept\"} 4\n")
            && metrics.contains("glance_image_bytes{state=\"leaving\"} 0\n")
    });
}

fn scrubbing() -> Setup {
    Setup::new()
        .option("delayed_delete", true)
        .option("wakeup_time", 1)
}

#[test]
fn of_the_server() {
    let mut server = delaying().start();
    let (ids, kept) = filled(&server);
    server.set_up(|_| scrubbing());
    server.restart();
    for round in 0..6 {
        // At some point of its first pass.
        std::thread::sleep(Duration::from_millis(980 + 20 * round));
        server.kill();
        server.start();
        // Images that are not scrubbed can be restored; scrubbed ones cannot.
        let pending = ids
            .iter()
            .filter(|id| server.status_of(id) == "pending_delete");
        let stored = server.stored_files().len();
        assert!(
            stored > pending.count(),
            "an image lost its data before it was deleted"
        );
    }
    assert_ended(&server, &ids, &kept);
}

#[test]
fn of_the_program() {
    let mut server = delaying().start();
    let (ids, kept) = filled(&server);
    server.stop();
    for round in 0..6 {
        let mut child = command(&server, &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(30 + 25 * round));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    run(&server, &[]).expect(0).says(", failed: 0, waiting: 0");
    assert_eq!(server.stored_files().len(), 1);
    server.start();
    assert_ended(&server, &ids, &kept);
}
