//! The life of a copy: its visible states, what stops it, and the effect of a shutdown or crash.

use std::time::{Duration, Instant};

use super::{COPY_FROM, LOCATION, end_of_copy, from, honest, open_node, open_setup};
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::server::Server;
use crate::support::v1::{id_of, put, put_data};

const SIZE_BYTES: u64 = 2_000_000;

/// An origin that sends the first half and then stalls.
fn halting() -> Origin {
    Origin::start(Content::new(3, SIZE_BYTES), |_| {
        Answer::whole().hang_after(SIZE_BYTES / 2)
    })
}

/// A node that waits for such an origin as long as the test needs.
fn patient_node() -> Server {
    let setup = open_setup().option_in("glance_store", "http_store_stall_timeout", 60);
    setup.start()
}

#[track_caller]
fn copy(node: &Server, origin: &Origin) -> String {
    id_of(
        &node
            .request(&from(COPY_FROM, &origin.url("/i")))
            .expect(201),
    )
}

#[track_caller]
fn await_status(node: &Server, id: &str, status: &str) {
    eventually(status, || (node.status_of(id) == status).then_some(()));
}

#[track_caller]
fn await_connections(origin: &Origin, count: usize) {
    eventually("connections", || {
        (origin.open_connections() == count).then_some(())
    });
}

#[test]
fn running_copy_is_saving_and_refuses_data() {
    let (node, origin) = (patient_node(), halting());
    let id = copy(&node, &origin);
    await_status(&node, &id, "saving");
    node.download(&id).expect(404);
    node.request(&put_data(&id, &[], b"data")).expect(409);
    for header in [LOCATION, COPY_FROM] {
        let another = put(&id, &[(header, &origin.url("/i"))]);
        node.request(&another).expect(400);
    }
    // The metadata may change meanwhile.
    node.request(&put(&id, &[("x-image-meta-name", "n")]))
        .expect(200);
    assert_eq!(node.status_of(&id), "saving");
}

#[test]
fn deleting_the_image_stops_its_copy() {
    let (node, origin) = (patient_node(), halting());
    let id = copy(&node, &origin);
    await_status(&node, &id, "saving");
    await_connections(&origin, 1);
    node.remove(&id).expect(200);
    await_connections(&origin, 0);
    node.await_nothing_stored(&id);
    assert_eq!(node.status_of(&id), "deleted");
    assert!(node.stored_files().is_empty());
}

#[test]
fn concurrent_copies_are_limited() {
    let node = open_setup()
        .option("copy_from_limit", 1)
        .option_in("glance_store", "http_store_stall_timeout", 60)
        .start();
    let (slow, quick) = (halting(), honest(5000));
    let first = copy(&node, &slow);
    await_status(&node, &first, "saving");
    let (second, third) = (copy(&node, &quick), copy(&node, &quick));
    std::thread::sleep(Duration::from_millis(300));
    for id in [&second, &third] {
        assert_eq!(node.status_of(id), "queued");
        // The image has its source, but no data yet.
        node.request(&put_data(id, &[], b"data")).expect(409);
        let another = put(id, &[(LOCATION, &quick.url("/i"))]);
        node.request(&another).expect(400);
    }
    // A queued copy can be deleted too.
    node.remove(&third).expect(200);
    assert_eq!(quick.sent_bytes(), 0);
    node.remove(&first).expect(200);
    assert_eq!(end_of_copy(&node, &second), "active");
    assert_eq!(node.status_of(&third), "deleted");
    assert_eq!(quick.sent_bytes(), 5000);
}

#[test]
fn killed_process_leaves_killed_images_and_no_data() {
    let mut node = open_setup()
        .option("copy_from_limit", 1)
        .option_in("glance_store", "http_store_stall_timeout", 60)
        .start();
    let (slow, quick) = (halting(), honest(5000));
    let saving = copy(&node, &slow);
    await_status(&node, &saving, "saving");
    let waiting = copy(&node, &quick);
    node.kill();
    node.restart();
    for id in [&saving, &waiting] {
        assert_eq!(node.status_of(id), "killed");
        node.request(&put_data(id, &[], b"data")).expect(409);
    }
    eventually("nothing is left", || {
        node.stored_files().is_empty().then_some(())
    });
    // The slot of the killed copy is free again.
    let again = copy(&node, &quick);
    assert_eq!(end_of_copy(&node, &again), "active");
}

#[test]
fn sigterm_waits_for_a_copy() {
    let mut node = open_setup().start();
    let origin = Origin::start(Content::new(4, SIZE_BYTES), |_| {
        Answer::whole().pause_after(SIZE_BYTES / 2, Duration::from_secs(1))
    });
    let id = copy(&node, &origin);
    await_status(&node, &id, "saving");
    node.terminate();
    let status = node.wait(Duration::from_secs(30));
    assert!(status.success(), "{status}");
    assert!(node.log().contains("every request was completed"));
    node.restart();
    assert_eq!(node.status_of(&id), "active");
    assert!(origin.content.all() == node.download(&id).expect(200).body);
}

#[test]
fn sigterm_waits_for_a_limited_time() {
    let mut node = open_setup()
        .option("drain_timeout", 1)
        .option_in("glance_store", "http_store_stall_timeout", 60)
        .start();
    let origin = halting();
    let id = copy(&node, &origin);
    await_status(&node, &id, "saving");
    node.terminate();
    let began = Instant::now();
    let status = node.wait(Duration::from_secs(30));
    assert_eq!(status.code(), Some(0), "{}", node.log());
    // Half of the timeout for the origin.
    assert!(began.elapsed() < Duration::from_secs(30));
    node.restart();
    assert_eq!(node.status_of(&id), "killed");
    eventually("nothing is left", || {
        node.stored_files().is_empty().then_some(())
    });
}

#[test]
fn copies_are_logged() {
    let (node, origin) = (open_node(), honest(5000));
    let wrong = [("x-image-meta-checksum", "0123")];
    let request = super::from_with(COPY_FROM, &origin.url("/i"), &wrong);
    let id = id_of(&node.request(&request).expect(201));
    assert_eq!(end_of_copy(node, &id), "killed");
    let line = eventually("a line", || {
        let log = node.log();
        let line = log
            .lines()
            .find(|line| line.contains("image copy failed") && line.contains(&id));
        line.map(str::to_owned)
    });
    assert!(line.contains("checksum"), "{line}");
}
