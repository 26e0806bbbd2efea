//! Data of the first release, written by its programs: this release serves and imports them.
//!
//! `first_release/` holds a registry (journal and sled files) with five images, and a dump of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::program::{Run, beside};
use crate::support::server::{Server, Setup};

const PUBLIC: &str = "00000000-0000-4000-8000-000000000001";
const SHARED: &str = "00000000-0000-4000-8000-000000000002";
const QUEUED: &str = "00000000-0000-4000-8000-000000000003";
const PENDING: &str = "00000000-0000-4000-8000-000000000004";
const DELETED: &str = "00000000-0000-4000-8000-000000000005";

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry/first_release");
    folder.join(name)
}

fn prepared() -> Server {
    let server = Setup::new().prepare();
    server.write_config();
    server
}

fn image(server: &Server, id: &str) -> Value {
    let query = "is_public=None&changes-since=2000-01-01&limit=10";
    let list = server.json(&format!("/v1/images/detail?{query}"));
    let mut images = list["images"].as_array().expect("a list").iter();
    images.find(|image| image["id"] == id).cloned().expect(id)
}

/// Checks every field that the first release stored and v1 shows.
#[track_caller]
fn expect_first_release_images(server: &Server) {
    let public = image(server, PUBLIC);
    assert_eq!(public["is_public"], json!(true));
    assert_eq!(public["owner"], json!("tenant-one"));
    assert_eq!(public["properties"], json!({"os": "linux"}));
    assert_eq!(
        (&public["min_disk"], &public["min_ram"]),
        (&json!(3), &json!(512))
    );
    let checksum = json!("267151cfa87e6b061133d5aded92f604");
    assert_eq!(
        (&public["size"], &public["checksum"]),
        (&json!(9), &checksum)
    );

    let shared = image(server, SHARED);
    assert_eq!(
        (&shared["is_public"], &shared["protected"]),
        (&json!(false), &json!(true))
    );
    let members = server.json(&format!("/v1/images/{SHARED}/members"));
    let expected = json!([
        {"member_id": "tenant-two", "can_share": true},
        {"member_id": "tenant-three", "can_share": false},
    ]);
    assert_eq!(members["members"], expected);
    let of_member = server.json("/v1/shared-images/tenant-two");
    assert_eq!(of_member["shared_images"][0]["image_id"], json!(SHARED));

    for (id, status) in [(QUEUED, "queued"), (DELETED, "deleted")] {
        assert_eq!(image(server, id)["status"], json!(status), "{id}");
    }
    // Its time to be scrubbed has come, so the scrubber may have finished the deletion.
    let pending = image(server, PENDING)["status"].clone();
    assert!(
        ["pending_delete", "deleted"]
            .map(Value::from)
            .contains(&pending),
        "{pending}"
    );
}

#[test]
fn registry_of_the_first_release_is_served_and_changed() {
    let mut server = prepared();
    let registry = server.data_dir().join("registry");
    fs::create_dir_all(&registry).expect("a folder");
    for file in ["journal", "db", "conf"] {
        fs::copy(fixture(file), registry.join(file)).expect(file);
    }
    server.start();
    expect_first_release_images(&server);

    // A change of one member keeps the other, and both survive a restart.
    let member = format!("/v1/images/{SHARED}/members/tenant-three");
    let body = br#"{"member": {"can_share": true}}"#;
    let request = Request::put(&member).body(body);
    server.request(&request).expect(204);
    server.restart();
    let members = server.json(&format!("/v1/images/{SHARED}/members"));
    let rights: Vec<_> = members["members"]
        .as_array()
        .expect("members")
        .iter()
        .collect();
    assert!(
        rights
            .iter()
            .all(|member| member["can_share"] == json!(true)),
        "{members}"
    );
    assert_eq!(rights.len(), 2);
}

#[test]
fn dump_of_the_first_release_is_imported() {
    let mut server = prepared();
    Run::of(
        beside(&server, env!("CARGO_BIN_EXE_glance-manage"))
            .arg("--config-file")
            .arg(server.config_file())
            .arg("import")
            .arg(fixture("registry.dump")),
    )
    .expect(0);
    server.start();
    expect_first_release_images(&server);
}
