//! Limits on the number of images, properties and members.

use super::owned;
use crate::images::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{image_path, post, post_data, put};

fn properties(count: usize) -> Vec<(String, String)> {
    let property = |number| (format!("x-image-meta-property-p{number}"), "v".to_owned());
    (0..count).map(property).collect()
}

fn with_properties(request: Request, count: usize) -> Request {
    let headers = properties(count);
    let headers: Vec<_> = headers.iter().map(|(k, v)| (&**k, &**v)).collect();
    request.headers(&headers)
}

#[test]
fn image_count_of_an_owner_is_limited() {
    let server = Setup::new().option("user_image_quota", 3).start();
    let ids = [server.create(&[]), server.create(&[]), server.reserve()];
    let id = fresh_id();
    for request in [post(&[]), post_data(&[], b"data")] {
        let answer = server.request(&request.header("x-image-meta-id", &id));
        let words = "The limit has been exceeded on the number of allowed images for this tenant. \
                     Attempted: 4, Maximum: 3";
        assert!(answer.expect(413).text().contains(words));
        server.head(&id).expect(404);
    }
    assert!(server.stored_files().is_empty());
    server.request(&post(&owned("other"))).expect(201);
    let given = put(&ids[0], &owned("other"));
    server.request(&given).expect(200);
    server.create(&[]);
    server.remove(&ids[1]).expect(200);
    server.create(&[]);
    server.request(&post(&[])).expect(413);
}

#[test]
fn killed_images_count_until_deleted() {
    let server = Setup::new().option("user_image_quota", 1).start();
    let id = fresh_id();
    let wrong = post_data(
        &[("x-image-meta-checksum", "0"), ("x-image-meta-id", &id)],
        b"x",
    );
    server.request(&wrong).expect(400);
    assert_eq!(server.status_of(&id), "killed");
    server.request(&post(&[])).expect(413);
    server.remove(&id).expect(200);
    server.create(&[]);
}

#[test]
fn one_of_many_racing_creates_gets_the_last_image() {
    let server = Setup::new().option("user_image_quota", 1).start();
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| server.request(&post(&[])).status))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let count = |status| answers.iter().filter(|s| **s == status).count();
    assert_eq!((count(201), count(413)), (1, 19), "{answers:?}");
}

#[test]
fn property_count_of_an_image_is_limited() {
    let server = Setup::new().option("image_property_quota", 3).start();
    let words = "The limit has been exceeded on the number of allowed image properties. \
                 Attempted: 4, Maximum: 3";
    let refused = |request: Request| {
        let text = server.request(&request).expect(413).text().to_owned();
        assert!(text.contains(words), "{text}");
    };
    refused(with_properties(post(&[]), 4));
    let created = server.request(&with_properties(post(&[]), 3)).expect(201);
    let id = crate::support::v1::id_of(&created);
    let more = [("x-image-meta-property-more", "v")];
    let kept = [more[0], ("x-glance-registry-purge-props", "false")];
    refused(put(&id, &kept));
    server
        .request(&with_properties(put(&id, &kept[1..]), 3))
        .expect(200);
    server.request(&put(&id, &more)).expect(200);
    let none = Setup::new().option("image_property_quota", 0).start();
    none.request(&post(&more)).expect(413);
    none.request(&post(&[])).expect(201);
}

#[test]
fn no_limits_by_default() {
    let setup = Setup::new().option("image_property_quota", -1);
    let setup = setup.option("image_member_quota", -1);
    let setup = setup.option("user_storage_quota", "0GB");
    let server = setup.option("user_image_quota", -1).start();
    server.request(&with_properties(post(&[]), 200)).expect(201);
    let id = server.upload(&[], b"data");
    for member in 0..130 {
        let path = format!("{}/members/m{member}", image_path(&id));
        server.request(&Request::put(&path)).expect(204);
    }
}

fn member(server: &Server, method: fn(&str) -> Request, id: &str, member: &str) -> u16 {
    let path = format!("{}/members/{member}", image_path(id));
    server.request(&method(&path)).status
}

#[test]
fn member_count_of_an_image_is_limited() {
    let mut server = Setup::new().option("image_member_quota", 2).start();
    let id = server.reserve();
    assert_eq!(member(&server, Request::put, &id, "a"), 204);
    assert_eq!(member(&server, Request::put, &id, "b"), 204);
    let path = format!("{}/members/c", image_path(&id));
    let refused = server.request(&Request::put(&path)).expect(413);
    let words = "The limit has been exceeded on the number of allowed image members for this \
                 image. Attempted: 3, Maximum: 2";
    assert!(refused.text().contains(words), "{}", refused.text());
    let replace = |ids: &[&str]| {
        let members: Vec<_> = ids
            .iter()
            .map(|id| format!("{{\"member_id\": \"{id}\"}}"))
            .collect();
        let body = format!("{{\"memberships\": [{}]}}", members.join(","));
        Request::put(&format!("{}/members", image_path(&id))).body(body)
    };
    server.request(&replace(&["x", "y", "z"])).expect(413);
    server.request(&replace(&["x", "y"])).expect(204);
    // After the limit is lowered, reducing the number is still allowed.
    server.set_up(|setup| setup.option("image_member_quota", 0));
    server.restart();
    assert_eq!(member(&server, Request::delete, &id, "x"), 204);
    assert_eq!(member(&server, Request::put, &id, "z"), 413);
}
