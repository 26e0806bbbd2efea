//! API servers with a registry server that speaks the legacy protocol and has no versions.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::alike::assert_alike;
use super::half_an_upload;
use crate::support::http::Request;
use crate::support::late_writes::LateWrites;
use crate::support::other_registry::OtherRegistry;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{image_path, post, put, put_data};
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
fn legacy_registry_behaves_as_an_embedded_registry() {
    let registry = OtherRegistry::start();
    let node = Setup::new().registry_at(registry.address()).start();
    node.expect_log("does not version records");
    assert_alike(&node);
}

#[test]
fn one_of_two_concurrent_uploads_succeeds() {
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
fn concurrent_upload_and_deletion_both_end() {
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
fn interrupted_upload_is_known_after_a_restart() {
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
fn quotas_and_members_are_seen_by_all_servers() {
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

/// Creates an image at the registry itself, as another API server does.
#[track_caller]
fn register(registry: &OtherRegistry, image: Value) -> Value {
    let body = json!({ "image": image }).to_string();
    let request = Request::post("/images").header("Content-Type", "application/json");
    let answer = registry.server().request(&request.body(body.as_bytes()));
    answer.expect(200).json()["image"].clone()
}

fn id_of(image: &Value) -> &str {
    image["id"].as_str().expect("an id")
}

#[test]
fn unreadable_image_hides_no_other() {
    let registry = OtherRegistry::start();
    let mut node = Setup::new().registry_at(registry.address()).start();
    let own = node.create(&[("x-image-meta-name", "own")]);
    for reserved in ["glance_node_state", "Glance-Node-State"] {
        let header = format!("x-image-meta-property-{reserved}");
        let headers = [(&*header, "boom")];
        node.request(&post(&headers)).expect(400);
        node.request(&put(&own, &headers)).expect(400);
    }

    // Other services on the same registry may write such images.
    let unreadable = [
        json!({ "properties": { "glance_node_state": "boom" } }),
        json!({ "status": "deactivated" }),
        json!({ "location": "file:///noscheme" }),
        json!({ "min_disk": 4711 }),
    ];
    let unreadable = unreadable.map(|image| register(&registry, image));
    registry.pretend("\"deactivated\"", "\"importing\"");
    registry.pretend("file:///noscheme", "noscheme");
    registry.pretend("4711", "-1");
    let own_alone = [own.clone()];
    assert_eq!(node.listed("is_public=None"), own_alone);
    for image in &unreadable {
        node.head(id_of(image)).expect(500);
        node.expect_log(id_of(image));
    }
    node.restart();
    assert_eq!(node.listed("is_public=None"), own_alone);
    node.request(&Request::get("/healthcheck")).expect(200);
    node.request(&put(&own, &[("x-image-meta-name", "again")]))
        .expect(200);
    assert_eq!(node.listed("is_public=None&name=again"), own_alone);
}

#[test]
fn time_in_the_future_hides_no_change() {
    let registry = OtherRegistry::start();
    let node = Setup::new().registry_at(registry.address()).start();
    let future = register(&registry, json!({ "name": "future" }));
    let updated_at = future["updated_at"].as_str().expect("a time");
    registry.pretend(updated_at, "2999-01-01T00:00:00");
    assert_eq!(node.listed("is_public=None&name=future").len(), 1);
    for name in ["one", "two"] {
        register(&registry, json!({ "name": name }));
        assert_eq!(
            node.listed(&format!("is_public=None&name={name}")).len(),
            1,
            "{name}"
        );
    }
}

#[test]
fn page_length_shrinks_after_a_too_long_response() {
    const IMAGES: usize = 95;
    let registry = OtherRegistry::start();
    let long = "x".repeat(56 * 1024);
    for _ in 0..IMAGES {
        register(&registry, json!({ "properties": { "p": long } }));
    }
    let node = Setup::new().registry_at(registry.address()).start();
    assert_eq!(node.listed("is_public=None&limit=1000").len(), IMAGES);
}

#[test]
fn too_long_image_hides_no_other() {
    let registry = OtherRegistry::start();
    let endless = json!({ "is_public": true, "properties": { "p": "endless" } });
    let endless = register(&registry, endless);
    let others = [(); 2].map(|()| register(&registry, json!({})));
    registry.pretend("\"endless\"", &format!("\"{}\"", "x".repeat(6 << 20)));
    let node = Setup::new().registry_at(registry.address()).start();
    assert_eq!(node.listed("is_public=None").len(), others.len());
    node.expect_log(id_of(&endless));
}

#[test]
fn write_with_a_lost_response_succeeds() {
    let registry = OtherRegistry::start();
    let late = LateWrites::before(registry.address());
    let setup = Setup::new().registry_at(late.address());
    let node = setup.option("registry_client_timeout", 5).start();
    let id = node.reserve();
    late.swallow("\"status\":\"active\"");
    node.request(&put_data(&id, &[], b"data")).expect(200);
    assert!(!late.is_to_swallow());
    assert_eq!(node.download(&id).expect(200).body, b"data");
    late.swallow("\"name\":\"lost\"");
    node.create(&[("x-image-meta-name", "lost")]);
    late.swallow("memberships");
    let member = format!("{}/members/tenant", image_path(&id));
    node.request(&Request::put(&member).body(b"")).expect(204);
    late.swallow("\"status\":\"deleted\"");
    node.remove(&id).expect(200);
    assert!(!late.is_to_swallow());
}
