//! API servers on a registry server of another make, which counts no versions.

use std::thread;
use std::time::Duration;

use super::alike::assert_alike;
use super::half_an_upload;
use crate::support::http::Request;
use crate::support::other_registry::OtherRegistry;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{image_path, put_data};
use crate::support::within;

fn two(registry: &OtherRegistry) -> (tempfile::TempDir, [Server; 2]) {
    let images = temp_folder();
    let nodes = ["one", "two"].map(|name| {
        Setup::new()
            .registry_at(registry.address())
            .option("node_name", name)
            .store_dir(images.path())
            .start()
    });
    (images, nodes)
}

#[test]
fn it_is_like_an_embedded_registry() {
    let registry = OtherRegistry::start();
    let node = Setup::new().registry_at(registry.address()).start();
    node.expect_log("is of another make");
    assert_alike(&node);
}

#[test]
fn of_two_uploads_at_two_servers_one_succeeds() {
    const ROUNDS: usize = 15;
    let registry = OtherRegistry::start();
    let (_images, nodes) = two(&registry);
    for round in 0..ROUNDS {
        let id = nodes[round % 2].reserve();
        let statuses: Vec<u16> = thread::scope(|scope| {
            let uploads: Vec<_> = nodes
                .iter()
                .zip(["first", "other"])
                .map(|(node, data)| {
                    let request = put_data(&id, &[], data.as_bytes());
                    scope.spawn(move || node.request(&request).status)
                })
                .collect();
            uploads
                .into_iter()
                .map(|upload| upload.join().expect("an answer"))
                .collect()
        });
        let mut sorted = statuses.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [200, 409]);
        let data = if statuses[0] == 200 { "first" } else { "other" };
        for node in &nodes {
            assert_eq!(node.download(&id).expect(200).body, data.as_bytes());
        }
    }
    let puts = registry.puts();
    let guarded = puts.iter().filter(|body| body.contains("\"from_state\""));
    assert_eq!(guarded.count(), puts.len(), "every one names what was seen");
}

#[test]
fn of_an_upload_and_a_deletion_both_come_to_an_end() {
    let registry = OtherRegistry::start();
    let (_images, [a, b]) = two(&registry);
    let (id, mut upload) = half_an_upload(&a, &b);
    let seen = b.head(&id);
    let is_ours = |name: &str| name.to_ascii_lowercase().contains("glance_node_state");
    assert!(!seen.headers.iter().any(|(name, _)| is_ours(name)));
    b.remove(&id).expect(200);
    let answer = upload.read_response("PUT").expect("an answer");
    answer.expect(412);
    b.download(&id).expect(404);
    a.await_nothing_stored(&id);
}

#[test]
fn an_upload_that_was_cut_off_is_known_after_the_start() {
    let registry = OtherRegistry::start();
    let (_images, [mut a, b]) = two(&registry);
    let (id, _upload) = half_an_upload(&a, &b);
    a.kill();
    assert_eq!(b.status_of(&id), "saving");
    a.start();
    assert_eq!(b.status_of(&id), "killed");
    a.await_nothing_stored(&id);
    within(Duration::from_secs(10), "nothing of ours is left", || {
        let path = format!("/images/{id}");
        let kept = registry.server().request(&Request::get(&path)).expect(200);
        !kept.text().contains("glance_node_state")
    });
}

#[test]
fn quotas_and_what_is_shared_are_seen_by_all() {
    let registry = OtherRegistry::start();
    let images = temp_folder();
    let nodes = ["one", "two"].map(|name| {
        Setup::new()
            .registry_at(registry.address())
            .option("node_name", name)
            .option("user_image_quota", 3)
            .store_dir(images.path())
            .start()
    });
    let ids: Vec<String> = (0..3).map(|n| nodes[n % 2].create(&[])).collect();
    for node in &nodes {
        node.request(&Request::post("/v1/images")).expect(413);
        assert_eq!(node.listed("is_public=None").len(), 3);
    }
    let member = format!("{}/members/tenant", image_path(&ids[0]));
    nodes[0]
        .request(&Request::put(&member).body(b""))
        .expect(204);
    let shared = nodes[1].json("/v1/shared-images/tenant");
    assert_eq!(shared["shared_images"][0]["image_id"], ids[0].as_str());
    nodes[1].remove(&ids[1]).expect(200);
    nodes[0].create(&[]);
}
