//! The expected images of the registries of `tables`, for every kind of database.

use serde_json::{Value, json};

use super::super::{manage, prepared};
use super::tables::{ACTIVE, DELETED, KILLED, QUEUED, WAITING, queens_id};
use super::{Dump, SECRET};
use crate::support::server::Server;
use crate::support::server::Setup;
use crate::support::v1::post;

/// Imports the registry of 2013 and checks what clients can and cannot see. Its locations are in the
/// folder of this server.
#[track_caller]
pub fn havana_is_taken_over(server: &mut Server, url: &str) {
    let store = server.store_dir();
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join(ACTIVE), "data").unwrap();
    std::fs::write(store.join(WAITING), "waits").unwrap();
    manage(server, &["load-legacy", url])
        .expect(0)
        .says("5 images in the old registry\n")
        .says("5 new, 0 replaced, 0 there already, 0 kept");
    manage(server, &["load-legacy", url])
        .expect(0)
        .says("0 new, 0 replaced, 5 there already, 0 kept");
    manage(server, &["check"]).expect(0);
    let dump = Dump::of(server);
    statuses_are_those_of_havana(&dump);
    pending_deletion_can_be_restored(dump.image(WAITING));
    server.start();
    the_active_image_is_as_it_was(server);
    assert_eq!(server.status_of(QUEUED), "queued");
    // Its identifier cannot be used again.
    server
        .request(&post(&[("x-image-meta-id", DELETED)]))
        .expect(409);
}

#[track_caller]
fn statuses_are_those_of_havana(dump: &Dump) {
    for (id, status, deleted_at) in [
        (ACTIVE, "active", Value::Null),
        (QUEUED, "queued", Value::Null),
        (DELETED, "deleted", json!("2013-10-19T10:11:12")),
        (KILLED, "killed", Value::Null),
        (
            WAITING,
            "pending_delete",
            json!("2013-10-20T10:11:12.000001"),
        ),
    ] {
        let image = dump.image(id);
        let found = (&image["status"], &image["deleted_at"]);
        assert_eq!(found, (&json!(status), &deleted_at), "{id}");
    }
    let queued = dump.image(QUEUED);
    assert_eq!(queued["updated_at"], queued["created_at"]);
    assert_eq!(dump.image(DELETED)["data"], Value::Null);
}

#[track_caller]
fn pending_deletion_can_be_restored(image: &Value) {
    assert_eq!(image["properties"], json!({}));
    assert_eq!(image["set_aside"]["properties"], json!({"os": "linux"}));
    assert_eq!(image["data"]["size_bytes"], 5);
    assert_eq!(image["is_public"], true);
}

#[track_caller]
fn the_active_image_is_as_it_was(server: &Server) {
    let expected = json!({
        "id": ACTIVE, "name": "Größe", "size": 4, "status": "active", "is_public": true,
        "created_at": "2013-10-17T10:11:12.000013", "updated_at": "2013-10-17T10:11:13.500000",
        "deleted_at": null, "deleted": false, "disk_format": "raw", "container_format": "bare",
        "checksum": "8d777f385d3dfec8815d20f7496026dc", "owner": "tenant", "min_disk": 1,
        "min_ram": 512, "protected": true, "virtual_size": null,
        "properties": {"os": "linux", "lines": "a: b", "empty": null},
    });
    assert_eq!(server.detail_of(ACTIVE), expected);
    assert_eq!(server.download(ACTIVE).expect(200).body, b"data");
    let members = server.json(&format!("/v1/images/{ACTIVE}/members"));
    let expected = json!({"members": [{"member_id": "friend", "can_share": true}]});
    assert_eq!(members, expected);
}

/// Imports the registry of 2018, parts of which cannot be kept, into an empty registry.
#[track_caller]
pub fn queens_is_taken_over(url: &str) {
    // Its files were in /x.
    let server = prepared(Setup::new().store_option("filesystem_store_datadir", "/x"));
    let forecast = manage(&server, &["load-legacy", url, "--dry-run"]).expect(2);
    forecast
        .says("would be loaded: images: 7 new")
        .says("8 images in the old registry, 1 of them cannot be taken over, 5 not whole");
    assert_eq!(Dump::of(&server).0.len(), 0);

    let mut run = manage(&server, &["load-legacy", url])
        .expect(2)
        .keeps(SECRET)
        .says("7 new");
    for (number, what) in [
        (7, " is not taken over: its status is \"teapot\""),
        (1, ": of its locations one is kept (file), and not: rbd, s3"),
        (2, ": its visibility community is not supported"),
        (3, ": its tags (1) are not kept"),
        (3, ": it was hidden"),
        (3, ": its members (1) could not use it (visibility private)"),
        (4, ": its upload was not finished (importing)"),
        (
            6,
            ": no store here reads its location, which has the scheme rbd",
        ),
    ] {
        run = run.says(&format!("image {}{what}", queens_id(number)));
    }
    manage(&server, &["load-legacy", url, "--allow-losses"])
        .expect(0)
        .says("0 new, 0 replaced, 7 there already, 0 kept");
    assert_images_of_queens(&Dump::of(&server));
}

#[track_caller]
fn assert_images_of_queens(dump: &Dump) {
    let image = |number| dump.image(&queens_id(number));
    for (number, status, is_public, location) in [
        (0, "active", true, json!("file:///x/0")),
        (1, "active", false, json!("file:///x/1")),
        (2, "active", false, json!("file:///x/2")),
        (3, "active", false, json!("file:///x/3")),
        (4, "killed", false, Value::Null),
        (5, "pending_delete", false, json!("file:///x/5")),
        (6, "deactivated", true, json!("rbd://CANARY/6")),
    ] {
        let image = image(number);
        assert_eq!(image["status"], status, "{number}");
        assert_eq!(image["is_public"], is_public, "{number}");
        assert_eq!(image["data"]["location"], location, "{number}");
    }
    assert_eq!(image(0)["created_at"], "2018-05-06T07:08:09.000001");
    assert_eq!(image(0)["virtual_size"], 8);
    assert_eq!(image(0)["properties"], json!({"key": "value"}));
    assert_eq!(image(3)["members"], json!([]));
    assert_eq!(image(5)["set_aside"]["properties"], json!({"key": "value"}));
}
