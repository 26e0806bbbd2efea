//! Uploads of a server that never comes back, and one that takes its time.

use std::time::{Duration, Instant};

use super::half_an_upload;
use crate::support::server::Setup;
use crate::support::setup::temp_folder;
use crate::support::within;

/// The shortest there is.
const ABANDONED_AFTER_S: u64 = 30;

/// Three servers: one takes its time, one is killed for good, and all see what became of both.
fn one_vanishes(setup: impl Fn() -> Setup) {
    let images = temp_folder();
    let node = |name: &str| {
        setup()
            .option("upload_abandoned_after", ABANDONED_AFTER_S)
            // The clients of this test say nothing for longer.
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
    within(limit, "the upload of nobody is ended", || {
        other.status_of(&dead) == "killed"
    });
    let took = began.elapsed();
    eprintln!("ended after {took:?}");
    // The last sign of life may have come just before the kill.
    assert!(
        took > Duration::from_secs(ABANDONED_AFTER_S - 2),
        "{took:?}"
    );
    assert_eq!(slow.status_of(&dead), "killed");
    for node in [&slow, &other] {
        assert_eq!(node.status_of(&alive), "saving", "somebody is there");
    }
    upload.send_bytes(b"half").expect("half");
    upload.read_response("PUT").expect("an answer").expect(200);
    assert_eq!(other.download(&alive).expect(200).body, b"halfhalf");
    // Now nobody writes any more.
    other.await_nothing_stored(&dead);
    other.await_nothing_stored(&deleted);
}

#[test]
fn a_server_on_a_registry_server_vanishes() {
    let registry = Setup::registry().start();
    one_vanishes(|| Setup::new().registry_at(registry.address()));
}

#[cfg(feature = "etcd")]
#[test]
fn a_server_on_etcd_vanishes() {
    let etcd = crate::support::etcd::Etcd::start(1);
    one_vanishes(|| Setup::new().etcd(&etcd));
}
