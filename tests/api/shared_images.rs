//! `GET /v1/shared-images/{member}`.

use serde_json::json;

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::unique;

#[test]
fn shared_images_of_a_tenant_are_listed() {
    let server = Server::shared();
    let tenant = unique("tenant");
    let (first, second) = (server.reserve(), server.reserve());
    for (id, can_share) in [(&first, false), (&second, true)] {
        let body = json!({"member": {"can_share": can_share}}).to_string();
        let path = format!("/v1/images/{id}/members/{tenant}");
        server.request(&Request::put(&path).body(body)).expect(204);
    }
    let shared = server.json(&format!("/v1/shared-images/{tenant}"));
    let mut rows = shared["shared_images"].as_array().unwrap().clone();
    rows.sort_by_key(|row| row["can_share"].as_bool());
    let wanted = json!([
        {"image_id": first, "can_share": false},
        {"image_id": second, "can_share": true},
    ]);
    assert_eq!(json!(rows), wanted);
}

#[test]
fn unknown_tenant_has_no_shared_images() {
    let path = format!("/v1/shared-images/{}", unique("nobody"));
    assert_eq!(Server::shared().json(&path), json!({"shared_images": []}));
}

#[test]
fn deleted_images_and_removed_members_are_not_listed() {
    let server = Server::shared();
    let tenant = unique("tenant");
    let (deleted, unshared) = (server.reserve(), server.reserve());
    for id in [&deleted, &unshared] {
        let path = format!("/v1/images/{id}/members/{tenant}");
        server.request(&Request::put(&path)).expect(204);
    }
    server.remove(&deleted).expect(200);
    let path = format!("/v1/images/{unshared}/members/{tenant}");
    server.request(&Request::delete(&path)).expect(204);
    let path = format!("/v1/shared-images/{tenant}");
    assert_eq!(server.json(&path), json!({"shared_images": []}));
}

#[test]
fn tenant_in_the_path_is_percent_decoded() {
    let server = Server::shared();
    let id = server.reserve();
    let tenant = format!("a%20b%2Fc%C3%BC{}", unique("t"));
    let path = format!("/v1/images/{id}/members/{tenant}");
    server.request(&Request::put(&path)).expect(204);
    let shared = server.json(&format!("/v1/shared-images/{tenant}"));
    assert_eq!(shared["shared_images"][0]["image_id"], json!(id));
    let members = server.json(&format!("/v1/images/{id}/members"));
    let member = members["members"][0]["member_id"].as_str().unwrap();
    assert!(member.starts_with("a b/cü"), "{member}");
}
