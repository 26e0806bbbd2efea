//! Uploads of a server that does not return are ended; a slow upload is not.

use std::time::{Duration, Instant};

use super::half_an_upload;
use crate::support::server::Setup;
use crate::support::setup::temp_folder;
use crate::support::within;

/// The shortest time that the option accepts.
const ABANDONED_AFTER_S: u64 = 30;

/// Runs three servers: one has a slow upload, one is killed for good, and all must see the results
/// of both uploads.
fn one_vanishes(setup: impl Fn() -> Setup) {
    let images = temp_folder();
    let node = |name: &str| {
        setup()
            .option("upload_abandoned_after", ABANDONED_AFTER_S)
            // The clients of this test pause for longer than the default.
            .option("client_socket_timeout", 0)
            .option("client_min_rate", 0)
            .option("node_name", name)
            .store_dir(images.path())
            .start()
    };
    let [slow, mut gone, other] = ["slow", "gone", "other"].map(node);
    let (alive, mut upload) = half_an_upload(&slow, &slow);
    let (dead, _cut) = half_an_upload(&gone, &gone);
    let (deleted, _cut) = half_an_upload(&gone, &gone);
    gone.kill();
    other.remove(&deleted).expect(200);
    let began = Instant::now();
    let limit = Duration::from_secs(5 * ABANDONED_AFTER_S);
    within(limit, "the abandoned upload is ended", || {
        other.status_of(&dead) == "killed"
    });
    let took = began.elapsed();
    eprintln!("ended after {took:?}");
    // The last heartbeat may have been written just before the kill.
    assert!(
        took > Duration::from_secs(ABANDONED_AFTER_S - 2),
        "{took:?}"
    );
    assert_eq!(slow.status_of(&dead), "killed");
    for node in [&slow, &other] {
        assert_eq!(node.status_of(&alive), "saving", "its server still runs");
    }
    upload.send_bytes(b"half").expect("half");
    upload.read_response("PUT").expect("an answer").expect(200);
    assert_eq!(other.download(&alive).expect(200).body, b"halfhalf");
    // No upload is left that writes.
    other.await_nothing_stored(&dead);
    other.await_nothing_stored(&deleted);
}

#[test]
fn upload_of_a_lost_server_is_ended_with_a_registry_server() {
    let registry = Setup::registry().start();
    one_vanishes(|| Setup::new().registry_at(registry.address()));
}

#[cfg(feature = "etcd")]
#[test]
fn upload_of_a_lost_server_is_ended_with_etcd() {
    let etcd = crate::support::etcd::Etcd::start(1);
    one_vanishes(|| Setup::new().etcd(&etcd));
}
