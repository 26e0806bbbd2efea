//! `DELETE /v1/images/{id}`.

use serde_json::json;

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{image_path, post, put};
use crate::support::{PATIENCE, eventually};

#[test]
fn an_image_and_its_data_are_gone() {
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
fn the_record_tells_that_it_was() {
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
fn twice_is_not_found() {
    let server = Server::shared();
    let id = server.reserve();
    server.remove(&id).expect(200);
    server.remove(&id).expect(404);
    server.remove(&fresh_id()).expect(404);
}

#[test]
fn one_of_many_at_a_time_deletes() {
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
fn a_protected_image_stays() {
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
fn the_id_stays_taken() {
    let server = Server::shared();
    let id = server.reserve();
    server.remove(&id).expect(200);
    server
        .request(&post(&[("x-image-meta-id", &id)]))
        .expect(409);
}

#[test]
fn a_body_is_nobodys_business() {
    let server = Server::shared();
    let id = server.reserve();
    let mut connection = server.connect();
    let request = Request::delete(&image_path(&id)).body("this is no JSON");
    connection.request(&request).expect(200);
    connection.request(&Request::get("/v1/images")).expect(200);
}

#[test]
fn memberships_go_with_it() {
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
fn delayed_deletion_keeps_the_data_for_the_scrubber() {
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
fn delayed_deletion_of_nothing_is_deletion() {
    let server = Setup::new().option("delayed_delete", true).start();
    let id = server.reserve();
    server.remove(&id).expect(200);
    assert_eq!(server.status_of(&id), "deleted");
}

#[test]
fn changes_since_shows_it() {
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
fn the_room_on_disk_is_free_again() {
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
fn whoever_leaves_in_the_middle_leaves_nothing_behind() {
    let server = Setup::new().start();
    let ids: Vec<_> = (0..60).map(|_| server.upload(&[], b"data")).collect();
    for id in &ids {
        let mut connection = server.connect();
        let delete = Request::delete(&image_path(id));
        connection.send_head(&delete).expect("sent");
        connection.finish_sending().expect("sent");
        // It may be answered, or be cut for having left.
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
