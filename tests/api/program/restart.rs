//! Restarts: everything that was acknowledged survives, and nothing else.

use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{OCTETS, RAW, post, put};
use crate::support::{eventually, pattern};

/// Everything the registry shows, deleted and killed images too.
#[track_caller]
fn everything(server: &Server) -> Value {
    let query = "is_public=None&changes-since=2000-01-01&limit=1000&sort_key=id";
    server.json(&format!("/v1/images/detail?{query}"))
}

struct Known {
    active: String,
    shared: String,
    data: Vec<u8>,
}

fn populate(server: &Server) -> Known {
    let data = pattern(300_000, 7);
    let headers = [
        ("x-image-meta-name", "Größe"),
        ("x-image-meta-property-a", ""),
    ];
    let active = server.upload(&headers, &data);
    let shared = server.create(&[("x-image-meta-min_ram", "7")]);
    let member = Request::put(&format!("/v1/images/{shared}/members/t"));
    let member = member.body(r#"{"member": {"can_share": true}}"#);
    server.request(&member).expect(204);
    let deleted = server.upload(&[], b"gone");
    server.remove(&deleted).expect(200);
    server.request(&post(RAW).body("killed")).expect(400);
    server
        .request(&put(&shared, &[("x-image-meta-name", "changed")]))
        .expect(200);
    Known {
        active,
        shared,
        data,
    }
}

#[track_caller]
fn check(server: &Server, known: &Known, before: &Value) {
    assert_eq!(everything(server), *before);
    assert!(server.download(&known.active).expect(200).body == known.data);
    let members = server.json(&format!("/v1/images/{}/members", known.shared));
    assert_eq!(
        members,
        json!({"members": [{"member_id": "t", "can_share": true}]})
    );
    assert_eq!(server.listed("is_public=None").len(), 2);
}

#[test]
fn orderly_shutdown_keeps_everything() {
    let mut server = Setup::new().start();
    let known = populate(&server);
    let before = everything(&server);
    for _ in 0..2 {
        let status = server.stop().unwrap();
        assert_eq!(status.code(), Some(0), "{}", server.log());
        server.restart();
        check(&server, &known, &before);
    }
}

#[test]
fn kill_9_keeps_everything() {
    let mut server = Setup::new().start();
    let known = populate(&server);
    let before = everything(&server);
    for _ in 0..3 {
        server.kill();
        server.restart();
        check(&server, &known, &before);
    }
    eventually("only the active image has data", || {
        let files = server.stored_files();
        (files.len() == 1 && files[0].0.ends_with(&known.active)).then_some(())
    });
}

#[test]
fn interrupted_uploads_are_killed_and_cleaned_up() {
    let mut server = Setup::new().start();
    let id = server.reserve();
    let mut connection = server.connect();
    let head = put(&id, &[OCTETS, ("Content-Length", "10000000")]);
    connection.send_head(&head).unwrap();
    connection.send_bytes(&pattern(3_000_000, 1)).unwrap();
    eventually("some of it is on the disk", || {
        (!server.stored_files().is_empty()).then_some(())
    });
    server.kill();
    assert!(
        !server.stored_files().is_empty(),
        "else this would test nothing"
    );
    server.restart();
    assert_eq!(server.status_of(&id), "killed");
    eventually("what was staged is removed", || {
        server.stored_files().is_empty().then_some(())
    });
}

#[test]
fn id_stays_taken_after_a_restart() {
    let mut server = Setup::new().start();
    let id = server.reserve();
    server.remove(&id).expect(200);
    server.kill();
    server.restart();
    server
        .request(&post(&[("x-image-meta-id", &id)]))
        .expect(409);
}

#[test]
fn order_of_lists_survives_a_restart() {
    let mut server = Setup::new().start();
    for size in ["3", "1", "2", "1"] {
        server.create(&[("x-image-meta-size", size)]);
    }
    let orders = [
        "sort_key=size",
        "sort_key=created_at&sort_dir=asc",
        "sort_key=id&limit=2",
    ];
    let list =
        |server: &Server| orders.map(|order| server.listed(&format!("is_public=None&{order}")));
    let before = list(&server);
    server.restart();
    assert_eq!(list(&server), before);
}
