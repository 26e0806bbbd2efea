//! `PUT /v1/images/{id}/members`.

use serde_json::json;

use super::{members, members_of, members_path};
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};

fn replace(id: &str, body: &str) -> Response {
    Server::shared().request(&Request::put(&members_path(id)).body(body))
}

#[test]
fn replace_sets_exactly_these_members() {
    let id = Server::shared().reserve();
    let body = r#"{"memberships": [{"member_id": "a", "can_share": true}, {"member_id": "b"}]}"#;
    let answer = replace(&id, body).expect(204);
    assert!(answer.body.is_empty());
    assert_eq!(members_of(&id), members(&[("a", true), ("b", false)]));
    replace(&id, r#"{"memberships": [{"member_id": "c"}]}"#).expect(204);
    assert_eq!(members_of(&id), members(&[("c", false)]));
    replace(&id, r#"{"memberships": []}"#).expect(204);
    assert!(members_of(&id).is_empty());
}

#[test]
fn absent_can_share_keeps_the_value() {
    let id = Server::shared().reserve();
    replace(&id, r#"[{"member_id": "a", "can_share": true}]"#).expect(204);
    replace(&id, r#"[{"member_id": "a"}, {"member_id": "b"}]"#).expect(204);
    assert_eq!(members_of(&id), members(&[("a", true), ("b", false)]));
}

#[test]
fn bare_list_of_the_first_clients_is_accepted() {
    let id = Server::shared().reserve();
    replace(&id, r#"[{"member_id": "a", "can_share": true}]"#).expect(204);
    assert_eq!(members_of(&id), members(&[("a", true)]));
    replace(&id, "[]").expect(204);
    assert!(members_of(&id).is_empty());
}

#[test]
fn repeated_member_is_stored_once() {
    let id = Server::shared().reserve();
    let body = r#"[{"member_id": "a", "can_share": true}, {"member_id": "a", "can_share": false}]"#;
    replace(&id, body).expect(204);
    assert_eq!(members_of(&id), members(&[("a", false)]));
}

#[test]
fn malformed_bodies_change_nothing() {
    let id = Server::shared().reserve();
    replace(&id, r#"[{"member_id": "a"}]"#).expect(204);
    for body in [
        "",
        "{",
        "7",
        "null",
        "\"a\"",
        "{}",
        r#"{"memberships": null}"#,
        r#"{"memberships": {}}"#,
        r#"{"memberships": [7]}"#,
        r#"{"memberships": [{}]}"#,
        r#"{"memberships": [{"member_id": 7}]}"#,
        r#"{"memberships": [{"member_id": ""}]}"#,
        r#"{"memberships": [{"can_share": true}]}"#,
        r#"[{"member_id": "b"}, {}]"#,
    ] {
        replace(&id, body).expect(400);
        assert_eq!(members_of(&id), members(&[("a", false)]), "{body}");
    }
    Server::shared()
        .request(&Request::put(&members_path(&id)))
        .expect(400);
}

#[test]
fn member_quota_is_enforced() {
    let server = Setup::new().option("image_member_quota", 3).start();
    let id = server.reserve();
    let replace = |count: usize| {
        let rows: Vec<_> = (0..count)
            .map(|n| json!({"member_id": n.to_string()}))
            .collect();
        let request = Request::put(&members_path(&id)).body(json!(rows).to_string());
        server.request(&request).status
    };
    assert_eq!(replace(3), 204);
    assert_eq!(replace(4), 413);
    let list = server.json(&members_path(&id));
    assert_eq!(list["members"].as_array().unwrap().len(), 3);
}
