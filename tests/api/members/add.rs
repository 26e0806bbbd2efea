//! `PUT /v1/images/{id}/members/{member}`.

use super::{members, members_of, members_path};
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};

fn add(id: &str, member: &str, body: Option<&str>) -> Response {
    let request = Request::put(&format!("{}/{member}", members_path(id)));
    let request = body.map_or(request.clone(), |body| request.body(body));
    Server::shared().request(&request)
}

#[test]
fn added_member_cannot_share_by_default() {
    let id = Server::shared().reserve();
    let answer = add(&id, "t", None).expect(204);
    assert!(answer.body.is_empty());
    assert_eq!(members_of(&id), members(&[("t", false)]));
}

#[test]
fn body_sets_can_share() {
    let id = Server::shared().reserve();
    for (body, can_share) in [
        (r#"{"member": {"can_share": true}}"#, true),
        (r#"{"member": {"can_share": false}}"#, false),
        (r#"{"member": {"can_share": 1}}"#, true),
        (r#"{"member": {"can_share": ""}}"#, false),
        (r#"{"member": {"can_share": "false"}}"#, true),
        (r#"{"member": {"can_share": null}}"#, false),
    ] {
        add(&id, "t", Some(body)).expect(204);
        assert_eq!(members_of(&id), members(&[("t", can_share)]), "{body}");
    }
}

#[test]
fn absent_can_share_keeps_the_value() {
    let id = Server::shared().reserve();
    add(&id, "t", Some(r#"{"member": {"can_share": true}}"#)).expect(204);
    for body in [None, Some(""), Some("{}"), Some(r#"{"member": {}}"#)] {
        add(&id, "t", body).expect(204);
        assert_eq!(members_of(&id), members(&[("t", true)]), "{body:?}");
    }
}

#[test]
fn malformed_bodies_are_refused() {
    let id = Server::shared().reserve();
    for body in [
        "{",
        "7",
        "\"x\"",
        "null",
        "true",
        r#"{"member": 3}"#,
        "\u{FEFF}{}",
    ] {
        add(&id, "t", Some(body)).expect(400);
    }
    assert!(members_of(&id).is_empty());
    let chunked = Request::put(&format!("{}/t", members_path(&id)));
    let chunked = chunked.chunked([r#"{"member": "#, r#"{"can_share": true}}"#]);
    Server::shared().request(&chunked).expect(204);
    assert_eq!(members_of(&id), members(&[("t", true)]));
}

#[test]
fn oversized_body_is_refused() {
    let id = Server::shared().reserve();
    let large = " ".repeat(2 << 20);
    add(&id, "t", Some(&large)).expect(413);
    assert!(members_of(&id).is_empty());
}

#[test]
fn any_text_is_a_member_id() {
    let id = Server::shared().reserve();
    for (escaped, plain) in [
        ("7", "7"),
        ("a%20b", "a b"),
        ("a%2Fb", "a/b"),
        ("%C3%BC", "ü"),
        ("..", ".."),
        ("%25", "%"),
    ] {
        add(&id, escaped, None).expect(204);
        let names: Vec<String> = members_of(&id).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&plain.to_owned()), "{plain} in {names:?}");
    }
    for bad in ["%0d%0a", "%00", &"x".repeat(256)] {
        add(&id, bad, None).expect(400);
    }
}

#[test]
fn member_quota_is_enforced() {
    let server = Setup::new().option("image_member_quota", 3).start();
    let id = server.reserve();
    let add = |member: &str| {
        let path = format!("{}/{member}", members_path(&id));
        server.request(&Request::put(&path)).status
    };
    for member in ["a", "b", "c"] {
        assert_eq!(add(member), 204);
    }
    assert_eq!(add("d"), 413);
    let list = server.json(&members_path(&id));
    assert_eq!(list["members"].as_array().unwrap().len(), 3);
}

#[test]
fn members_of_killed_and_active_images() {
    let server = Server::shared();
    let active = server.upload(&[], b"data");
    add(&active, "t", None).expect(204);
    assert_eq!(server.download(&active).expect(200).body, b"data");
}

#[test]
fn many_at_a_time_are_all_kept() {
    let id = Server::shared().reserve();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let id = &id;
            scope.spawn(move || {
                for round in 0..4 {
                    add(id, &format!("t{thread}-{round}"), None).expect(204);
                }
            });
        }
    });
    assert_eq!(members_of(&id).len(), 32);
}
