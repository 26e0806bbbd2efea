//! `GET /v1/images/{id}/members`.

use serde_json::json;

use super::{members, members_of, members_path};
use crate::support::http::Request;
use crate::support::server::Server;

#[test]
fn new_image_has_no_members() {
    let server = Server::shared();
    let id = server.reserve();
    assert_eq!(server.json(&members_path(&id)), json!({"members": []}));
}

#[test]
fn all_members_are_listed() {
    let server = Server::shared();
    let id = server.reserve();
    for member in ["b", "a"] {
        let path = format!("{}/{member}", members_path(&id));
        server.request(&Request::put(&path)).expect(204);
    }
    assert_eq!(members_of(&id), members(&[("a", false), ("b", false)]));
}

#[test]
fn members_of_a_missing_image_are_404() {
    let server = Server::shared();
    let deleted = server.reserve();
    server.remove(&deleted).expect(200);
    let unknown = uuid::Uuid::new_v4().to_string();
    for id in [deleted.as_str(), unknown.as_str(), "7"] {
        for method in ["GET", "PUT"] {
            let request = Request::new(method, &members_path(id)).body("[]");
            server.request(&request).expect(404);
        }
        for method in ["PUT", "DELETE"] {
            let path = format!("{}/t", members_path(id));
            server.request(&Request::new(method, &path)).expect(404);
        }
    }
}

#[test]
fn sharing_does_not_change_the_image() {
    let server = Server::shared();
    let id = server.reserve();
    let before = server.detail_of(&id);
    let path = format!("{}/t", members_path(&id));
    server.request(&Request::put(&path)).expect(204);
    server.request(&Request::delete(&path)).expect(204);
    server
        .request(&Request::put(&members_path(&id)).body("[]"))
        .expect(204);
    assert_eq!(server.detail_of(&id), before);
}
