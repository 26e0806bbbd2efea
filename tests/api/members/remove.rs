//! `DELETE /v1/images/{id}/members/{member}`.

use super::{members, members_of, members_path};
use crate::support::http::Request;
use crate::support::server::Server;

#[test]
fn removed_member_can_be_added_again() {
    let server = Server::shared();
    let id = server.reserve();
    let path = format!("{}/t", members_path(&id));
    let sharing = Request::put(&path).body(r#"{"member": {"can_share": true}}"#);
    server.request(&sharing).expect(204);
    let answer = server.request(&Request::delete(&path)).expect(204);
    assert!(answer.body.is_empty());
    assert!(members_of(&id).is_empty());
    server.request(&Request::delete(&path)).expect(404);
    server.request(&Request::put(&path)).expect(204);
    assert_eq!(members_of(&id), members(&[("t", false)]), "as a new one");
}

#[test]
fn removing_an_unknown_member_is_404() {
    let server = Server::shared();
    let id = server.reserve();
    let path = format!("{}/nobody", members_path(&id));
    server.request(&Request::delete(&path)).expect(404);
}

#[test]
fn removal_keeps_other_members() {
    let server = Server::shared();
    let id = server.reserve();
    for member in ["a", "b"] {
        let path = format!("{}/{member}", members_path(&id));
        server.request(&Request::put(&path)).expect(204);
    }
    let path = format!("{}/a", members_path(&id));
    server.request(&Request::delete(&path)).expect(204);
    assert_eq!(members_of(&id), members(&[("b", false)]));
}
