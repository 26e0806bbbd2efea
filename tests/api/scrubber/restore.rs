//! `glance-scrubber --restore`.

use serde_json::json;

use super::{delaying, pending};
use crate::support::http::Request;
use crate::support::scrubber::run;
use crate::support::server::Server;
use crate::support::v1::image_path;

/// A deleted public image that waits for the scrubber and has every field that a deletion removes.
fn lost(server: &Server) -> (String, serde_json::Value) {
    let id = server.upload(
        &[
            ("x-image-meta-name", "precious"),
            ("x-image-meta-is_public", "True"),
            ("x-image-meta-property-os", "linux"),
        ],
        b"data",
    );
    let member = format!("{}/members/tenant", image_path(&id));
    server
        .request(&Request::put(&member).body(r#"{"member": {"can_share": true}}"#))
        .expect(204);
    let detail = server.detail_of(&id);
    server.remove(&id).expect(200);
    (id, detail)
}

#[track_caller]
fn assert_back(server: &Server, id: &str, before: &serde_json::Value) {
    let mut after = server.detail_of(id);
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
    after["updated_at"] = before["updated_at"].clone();
    assert_eq!(&after, before);
    assert_eq!(server.download(id).expect(200).body, b"data");
    let members = server.json(&format!("{}/members", image_path(id)));
    let member = json!([{"member_id": "tenant", "can_share": true}]);
    assert_eq!(members["members"], member);
}

#[test]
fn restore_on_a_running_server_gives_everything_back() {
    let server = delaying().start();
    let (id, before) = lost(&server);
    let head = server.head(&id).expect(200);
    assert_eq!(
        head.header("x-image-meta-property-os"),
        None,
        "gone for everybody"
    );
    let shared = server.json("/v1/shared-images/tenant");
    assert_eq!(shared["shared_images"], json!([]));
    run(&server, &["--restore", &id])
        .expect(0)
        .says("is active again");
    assert_back(&server, &id, &before);
    run(&server, &[])
        .expect(0)
        .says("images scrubbed: 0, failed: 0, waiting: 0");
    // It can be deleted again, finally.
    server.remove(&id).expect(200);
    run(&server, &[]).expect(0).says("images scrubbed: 1");
    assert!(server.stored_files().is_empty());
}

#[test]
fn restore_on_a_stopped_server_gives_everything_back() {
    let mut server = delaying().start();
    let (id, before) = lost(&server);
    server.kill();
    run(&server, &["-r", &id]).expect(0).says("is active again");
    server.start();
    assert_back(&server, &id, &before);
}

#[test]
fn only_pending_images_can_be_restored() {
    let mut server = delaying().start();
    let scrubbed = pending(&server);
    run(&server, &[]).expect(0);
    let active = server.upload(&[], b"data");
    let unknown = "71c675ab-d94f-49cd-a114-e12490b328d9";
    for _ in 0..2 {
        let refused = |id: &str| run(&server, &["--restore", id]).expect(1);
        refused(&scrubbed).says(
            "cannot restore the image from deleted to active (wanted from_state=pending_delete)",
        );
        refused(&active).says("cannot restore the image from active to active");
        refused(unknown).says(&format!("Image with identifier {unknown} not found"));
        if server.is_running() {
            assert_eq!(server.status_of(&scrubbed), "deleted");
            server.stop();
        }
    }
}

#[test]
fn restore_respects_the_image_quota() {
    let server = delaying().option("user_image_quota", 1).start();
    let id = pending(&server);
    let other = server.create(&[]);
    run(&server, &["--restore", &id])
        .expect(1)
        .says("Attempted: 2, Maximum: 1");
    server.remove(&other).expect(200);
    run(&server, &["--restore", &id]).expect(0);
}
