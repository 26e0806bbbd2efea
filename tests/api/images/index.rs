//! `GET /v1/images`: the listed images, the fields of an entry, and the page size.

use serde_json::json;

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::unique;
use crate::support::v1::{RAW, post};

#[test]
fn empty_registry_lists_nothing() {
    let server = Setup::new().start();
    for path in ["/v1/images", "/v1/images/detail", "/images"] {
        assert_eq!(server.json(path), json!({"images": []}));
    }
}

#[test]
fn entry_has_six_fields() {
    let server = Server::shared();
    let name = unique("six");
    let id = server.upload(&[("x-image-meta-name", &name)], b"data");
    let list = server.json(&format!("/v1/images?is_public=None&name={name}"));
    let wanted = json!({"images": [{
        "id": id, "name": name, "size": 4, "disk_format": "raw", "container_format": "bare",
        "checksum": "8d777f385d3dfec8815d20f7496026dc",
    }]});
    assert_eq!(list, wanted);
}

#[test]
fn default_list_has_public_images_only() {
    let server = Server::shared();
    let name = unique("public");
    let public = server.create(&[
        ("x-image-meta-name", &name),
        ("x-image-meta-is_public", "1"),
    ]);
    let private = server.create(&[("x-image-meta-name", &name)]);
    let owned = server.create(&[("x-image-meta-name", &name), ("x-image-meta-owner", "t")]);
    let listed = |query: &str| {
        let mut ids = server.listed(&format!("{query}&name={name}"));
        ids.sort();
        ids
    };
    let sorted = |ids: &[&String]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
        ids.sort();
        ids
    };
    for query in ["", "is_public=True", "is_public=true", "is_public=1"] {
        assert_eq!(listed(query), sorted(&[&public]), "{query}");
    }
    for query in ["is_public=False", "is_public=0"] {
        assert_eq!(listed(query), sorted(&[&private, &owned]), "{query}");
    }
    for query in ["is_public=None", "is_public=none", "is_public=NONE"] {
        assert_eq!(
            listed(query),
            sorted(&[&public, &private, &owned]),
            "{query}"
        );
    }
}

#[test]
fn deleted_and_killed_images_are_not_listed() {
    let server = Server::shared();
    let name = unique("gone");
    let named = ("x-image-meta-name", name.as_str());
    let deleted = server.create(&[named]);
    server.remove(&deleted).expect(200);
    let killed = fresh_id();
    let request = post(RAW)
        .headers(&[named, ("x-image-meta-id", &killed)])
        .body("data");
    server.request(&request).expect(400);
    let queued = server.create(&[named]);
    assert_eq!(
        server.listed(&format!("is_public=None&name={name}")),
        [queued]
    );
    for status in ["deleted", "killed"] {
        let query = format!("is_public=None&name={name}&status={status}");
        assert!(server.listed(&query).is_empty());
    }
}

#[test]
fn page_has_25_by_default_and_at_most_1000() {
    let server = Setup::new().option("api_limit_max", 30).start();
    let mut connection = server.connect();
    for _ in 0..32 {
        connection
            .request(&post(&[("x-image-meta-is_public", "1")]))
            .expect(201);
    }
    for (query, count) in [
        ("", 25),
        ("limit=1", 1),
        ("limit=30", 30),
        ("limit=31", 30),
        ("limit=99999999999999999999", 30),
        ("limit=0", 0),
        ("limit=3&limit=5", 5),
    ] {
        assert_eq!(server.listed(query).len(), count, "{query}");
    }
}

#[test]
fn page_limits_are_configurable() {
    let server = Setup::new().option("limit_param_default", 2).start();
    for _ in 0..3 {
        server.create(&[("x-image-meta-is_public", "1")]);
    }
    assert_eq!(server.listed("").len(), 2);
    assert_eq!(server.listed("limit=3").len(), 3);
}

#[test]
fn invalid_parameters_are_refused() {
    let server = Server::shared();
    let unknown = format!("marker={}", fresh_id());
    for query in [
        "limit=-1",
        "limit=",
        "limit=x",
        "limit=1.5",
        "limit=+1",
        "marker=",
        "marker=7",
        &unknown,
        "sort_key=",
        "sort_key=Name",
        "sort_key=owner",
        "sort_key=checksum",
        "sort_dir=",
        "sort_dir=ASC",
        "sort_dir=up",
        "size_min=-1",
        "size_min=1.5",
        "size_min=",
        "size_max=x",
        "min_ram=-1",
        "min_ram=",
        "protected=",
        "protected=yes",
        "protected=None",
        "is_public=",
        "is_public=yes",
        "is_public=banana",
        "changes-since=",
        "changes-since=yesterday",
        "changes-since=2010-13-01",
    ] {
        for path in ["/v1/images", "/v1/images/detail", "/images"] {
            let answer = server.request(&Request::get(&format!("{path}?{query}")));
            assert_eq!(answer.status, 400, "{path}?{query}");
        }
    }
}

#[test]
fn unknown_parameters_are_ignored() {
    let server = Server::shared();
    for query in [
        "banana=1",
        "deleted=True",
        "deleted=x",
        "Limit=x",
        "owner=7",
        "visibility=public",
        "&&&",
        "=",
    ] {
        server
            .request(&Request::get(&format!("/v1/images?{query}")))
            .expect(200);
    }
}
