//! `DELETE /v1/images/{id}`.

use serde_json::json;

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{image_path, post, put};
use crate::support::{PATIENCE, eventually};

#[test]
fn delete_removes_image_and_data() {
    let server = Server::shared();
    let headers = [("x-image-meta-name", "n"), ("x-image-meta-property-a", "1")];
    let id = server.upload(&headers, b"data");
    let answer = server.remove(&id).expect(200);
    assert!(answer.body.is_empty());
    server.await_nothing_stored(&id);
    server.download(&id).expect(404);
    assert!(server.listed(&format!("is_public=None&id={id}")).is_empty());
}

#[test]
fn record_of_deleted_image_remains_visible() {
    let server = Server::shared();
    let headers = [("x-image-meta-name", "n"), ("x-image-meta-property-a", "1")];
    let id = server.upload(&headers, b"data");
    server.remove(&id).expect(200);
    let head = server.head(&id).expect(200);
    for (name, value) in [
        ("name", "n"),
        ("status", "deleted"),
        ("deleted", "True"),
        ("size", "4"),
    ] {
        assert_eq!(
            head.header(&format!("x-image-meta-{name}")),
            Some(value),
            "{name}"
        );
    }
    assert!(head.header("x-image-meta-deleted_at").is_some());
    assert_eq!(
        head.header("x-image-meta-property-a"),
        None,
        "properties go with it"
    );
}

#[test]
fn second_delete_is_not_found() {
    let server = Server::shared();
    let id = server.reserve();
    server.remove(&id).expect(200);
    server.remove(&id).expect(404);
    server.remove(&fresh_id()).expect(404);
}

#[test]
fn one_of_concurrent_deletes_succeeds() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6)
            .map(|_| scope.spawn(|| server.remove(&id).status))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert_eq!(
        answers.iter().filter(|status| **status == 200).count(),
        1,
        "{answers:?}"
    );
    assert_eq!(
        answers.iter().filter(|status| **status == 404).count(),
        5,
        "{answers:?}"
    );
}

#[test]
fn protected_image_is_not_deleted() {
    let server = Server::shared();
    let id = server.upload(&[("x-image-meta-protected", "True")], b"data");
    let refused = server.remove(&id).expect(403);
    assert!(
        refused.text().contains("Image is protected"),
        "{}",
        refused.text()
    );
    assert_eq!(server.download(&id).expect(200).body, b"data");
    let unprotect = put(&id, &[("x-image-meta-protected", "False")]);
    server.request(&unprotect).expect(200);
    server.remove(&id).expect(200);
}

#[test]
fn id_of_deleted_image_stays_used() {
    let server = Server::shared();
    let id = server.reserve();
    server.remove(&id).expect(200);
    server
        .request(&post(&[("x-image-meta-id", &id)]))
        .expect(409);
}

#[test]
fn body_of_delete_is_ignored() {
    let server = Server::shared();
    let id = server.reserve();
    let mut connection = server.connect();
    let request = Request::delete(&image_path(&id)).body("this is no JSON");
    connection.request(&request).expect(200);
    connection.request(&Request::get("/v1/images")).expect(200);
}

#[test]
fn delete_removes_memberships() {
    let server = Server::shared();
    let id = server.reserve();
    let members = format!("/v1/images/{id}/members");
    server
        .request(&Request::put(&format!("{members}/t")))
        .expect(204);
    server.remove(&id).expect(200);
    server.request(&Request::get(&members)).expect(404);
}

#[test]
fn delayed_delete_keeps_data_for_scrubber() {
    let server = Setup::new().option("delayed_delete", true).start();
    let id = server.upload(&[], b"data");
    server.remove(&id).expect(200);
    let head = server.head(&id).expect(200);
    assert_eq!(head.header("x-image-meta-status"), Some("pending_delete"));
    assert_eq!(head.header("x-image-meta-deleted"), Some("True"));
    server.download(&id).expect(404);
    server.remove(&id).expect(403);
    server
        .request(&put(&id, &[("x-image-meta-name", "n")]))
        .expect(403);
    assert!(server.listed("is_public=None").is_empty());
    let changed = server.listed("is_public=None&changes-since=2010-01-01");
    assert_eq!(changed, [id.as_str()]);
    assert_eq!(server.stored_files().len(), 1, "the data are still there");
}

#[test]
fn delayed_delete_without_data_is_immediate() {
    let server = Setup::new().option("delayed_delete", true).start();
    let id = server.reserve();
    server.remove(&id).expect(200);
    assert_eq!(server.status_of(&id), "deleted");
}

#[test]
fn changes_since_lists_deleted_image() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    server.remove(&id).expect(200);
    let path = format!("/v1/images/detail?is_public=None&id={id}&changes-since=2010-01-01");
    let list = server.json(&path);
    assert_eq!(list["images"][0]["deleted"], json!(true));
    assert_eq!(list["images"][0]["status"], json!("deleted"));
    assert!(list["images"][0]["deleted_at"].is_string());
}

#[test]
fn delete_frees_disk_space() {
    let server = Setup::new().start();
    for _ in 0..3 {
        let id = server.upload(&[], &[1; 100_000]);
        server.remove(&id).expect(200);
    }
    eventually("the store is empty", || {
        server.stored_files().is_empty().then_some(())
    });
}

#[test]
fn disconnect_during_delete_leaves_no_data() {
    let server = Setup::new().start();
    let ids: Vec<_> = (0..60).map(|_| server.upload(&[], b"data")).collect();
    for id in &ids {
        let mut connection = server.connect();
        let delete = Request::delete(&image_path(id));
        connection.send_head(&delete).expect("sent");
        connection.finish_sending().expect("sent");
        // The server may respond, or close the half-closed connection.
        let _ = connection.until_closed(PATIENCE);
    }
    eventually("the store has what the registry has", || {
        let has_what_it_should = |id: &String| {
            let is_there = server.status_of(id) == "active";
            server.has_stored(id) == is_there
        };
        ids.iter().all(has_what_it_should).then_some(())
    });
}
