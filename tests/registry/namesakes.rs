//! Two servers with the same name.

use std::time::Duration;

use super::half_an_upload;
use crate::support::server::Setup;
use crate::support::setup::temp_folder;
use crate::support::within;

#[test]
fn starting_server_keeps_uploads_of_a_running_namesake() {
    let registry = Setup::registry().start();
    let images = temp_folder();
    let node = || {
        Setup::new()
            .registry_at(registry.address())
            .option("node_name", "one-name")
            .option("client_socket_timeout", 0)
            .option("client_min_rate", 0)
            .store_dir(images.path())
    };
    let first = node().start();
    let (id, mut upload) = half_an_upload(&first, &first);
    let second = node().start();
    second.expect_log("another server with this node_name runs an upload");
    // Longer than the heartbeat timeout.
    std::thread::sleep(Duration::from_secs(17));
    assert_eq!(second.status_of(&id), "saving");
    upload.send_bytes(b"half").expect("half");
    upload.read_response("PUT").expect("an answer").expect(200);
    assert_eq!(second.download(&id).expect(200).body, b"halfhalf");
}

#[test]
fn abandoned_upload_is_ended_at_the_next_start() {
    let registry = Setup::registry().start();
    let mut node = Setup::new().registry_at(registry.address()).start();
    let (id, _upload) = half_an_upload(&node, &node);
    node.kill();
    node.start();
    within(Duration::from_secs(5), "it is killed", || {
        node.status_of(&id) == "killed"
    });
    node.await_nothing_stored(&id);
}
