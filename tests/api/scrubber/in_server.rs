//! The scrubber inside `glance-api`.

use super::{await_empty, pending};
use crate::support::eventually;
use crate::support::server::Setup;

fn scrubbing() -> Setup {
    let setup = Setup::new().option("delayed_delete", true);
    setup.option("wakeup_time", 1)
}

#[test]
fn scrubber_runs_by_itself() {
    let server = scrubbing().option("verbose", true).start();
    let ids = [pending(&server), pending(&server)];
    await_empty(&server);
    for id in &ids {
        assert_eq!(server.status_of(id), "deleted");
        server.download(id).expect(404);
        let line = format!("image scrubbed image_id={id}");
        eventually("it is logged", || {
            server.log().contains(&line).then_some(())
        });
    }
    let metrics = server.metrics();
    let counted = "glance_scrubbed_images_total{result=\"removed\"} 2";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(metrics.contains("glance_last_scrub_timestamp_seconds "));
    assert!(metrics.contains("glance_images{status=\"pending_delete\"} 0"));
}

#[test]
fn scrubber_waits_for_scrub_time() {
    let server = scrubbing().option("scrub_time", 4).start();
    let id = pending(&server);
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(server.status_of(&id), "pending_delete");
    assert_eq!(server.stored_files().len(), 1);
    await_empty(&server);
}

#[test]
fn scrubber_removes_only_deleted_images() {
    let server = scrubbing().start();
    let kept = server.upload(&[], b"kept");
    let queued = server.reserve();
    pending(&server);
    eventually("one is left", || {
        (server.stored_files().len() == 1).then_some(())
    });
    assert_eq!(server.download(&kept).expect(200).body, b"kept");
    assert_eq!(server.status_of(&queued), "queued");
}

#[test]
fn scrubber_releases_the_quota() {
    let server = scrubbing().option("user_storage_quota", 6).start();
    pending(&server);
    let upload = crate::support::v1::post_data(&[], b"1234");
    server.request(&upload).expect(413);
    await_empty(&server);
    server.request(&upload).expect(201);
}
