//! `PUT /v1/images/{id}` of metadata.

use serde_json::{Value, json};

use super::create::fresh_id;
use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{Headers, RAW, image_of, post, put, put_data};

const KEEP: (&str, &str) = ("x-glance-registry-purge-props", "false");

#[track_caller]
fn updated(id: &str, headers: Headers) -> Value {
    image_of(&Server::shared().request(&put(id, headers)).expect(200))
}

#[track_caller]
fn refused(id: &str, headers: Headers, status: u16) {
    let before = Server::shared().head(id);
    Server::shared().request(&put(id, headers)).expect(status);
    let meta = |answer: crate::support::http::Response| {
        let mut headers = answer.head.headers;
        headers.retain(|(name, _)| name.to_lowercase().starts_with("x-image-meta"));
        headers
    };
    assert_eq!(
        meta(Server::shared().head(id)),
        meta(before),
        "nothing changed"
    );
}

#[test]
fn named_fields_change_and_others_stay() {
    let server = Server::shared();
    let id = server.create(&[
        ("x-image-meta-name", "first"),
        ("x-image-meta-min_disk", "3"),
        ("x-image-meta-owner", "tenant"),
        ("x-image-meta-disk_format", "raw"),
    ]);
    let image = updated(
        &id,
        &[
            ("x-image-meta-name", "second"),
            ("x-image-meta-min-ram", "7"),
        ],
    );
    for (field, value) in [
        ("name", json!("second")),
        ("min_ram", json!(7)),
        ("min_disk", json!(3)),
        ("owner", json!("tenant")),
        ("disk_format", json!("raw")),
        ("status", json!("queued")),
    ] {
        assert_eq!(image[field], value, "{field}");
    }
    assert_eq!(server.detail_of(&id), image);
}

#[test]
fn every_field_can_change() {
    let server = Server::shared();
    let id = server.create(&[]);
    let image = updated(
        &id,
        &[
            ("x-image-meta-name", "n"),
            ("x-image-meta-disk-format", "iso"),
            ("x-image-meta-container-format", "bare"),
            ("x-image-meta-is-public", "1"),
            ("x-image-meta-protected", "1"),
            ("x-image-meta-owner", "o"),
            ("x-image-meta-size", "9"),
            ("x-image-meta-virtual-size", "10"),
            ("x-image-meta-checksum", "abc"),
        ],
    );
    for (field, value) in [
        ("name", json!("n")),
        ("disk_format", json!("iso")),
        ("container_format", json!("bare")),
        ("is_public", json!(true)),
        ("protected", json!(true)),
        ("owner", json!("o")),
        ("size", json!(9)),
        ("virtual_size", json!(10)),
        ("checksum", json!("abc")),
    ] {
        assert_eq!(image[field], value, "{field}");
    }
}

#[test]
fn empty_value_clears_field() {
    let server = Server::shared();
    let id = server.create(&[("x-image-meta-name", "n"), ("x-image-meta-owner", "o")]);
    let image = updated(
        &id,
        &[("x-image-meta-name", ""), ("x-image-meta-owner", "")],
    );
    assert_eq!(
        (&image["name"], &image["owner"]),
        (&Value::Null, &Value::Null)
    );
    refused(&id, &[("x-image-meta-disk_format", "")], 400);
    refused(&id, &[("x-image-meta-size", "")], 400);
}

#[test]
fn response_is_updated_image() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    let answer = server.request(&put(&id, &[])).expect(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("etag"), server.head(&id).header("etag"));
    assert_eq!(answer.header("location"), None);
}

#[test]
fn updated_at_moves_and_created_at_stays() {
    let server = Server::shared();
    let id = server.create(&[]);
    let mut before = server.detail_of(&id);
    for _ in 0..5 {
        let after = updated(&id, &[]);
        assert_eq!(after["created_at"], before["created_at"]);
        let time = |image: &Value| image["updated_at"].as_str().unwrap().to_owned();
        assert!(time(&after) > time(&before), "{after}");
        before = after;
    }
    let times = [
        ("x-image-meta-created_at", "2001-01-01"),
        ("x-image-meta-updated_at", "2001-01-01"),
    ];
    let after = updated(&id, &times);
    assert_eq!(after["created_at"], before["created_at"]);
    assert!(after["updated_at"].as_str() > before["updated_at"].as_str());
}

#[test]
fn unnamed_properties_are_purged() {
    let server = Server::shared();
    let id = server.create(&[
        ("x-image-meta-property-a", "1"),
        ("x-image-meta-property-b", "2"),
    ]);
    let image = updated(
        &id,
        &[
            ("x-image-meta-property-b", "3"),
            ("x-image-meta-property-c", "4"),
        ],
    );
    assert_eq!(image["properties"], json!({"b": "3", "c": "4"}));
    let image = updated(&id, &[("x-image-meta-name", "no property at all")]);
    assert_eq!(image["properties"], json!({}));
    let image = updated(&id, &[("x-image-meta-property-a", "again")]);
    assert_eq!(image["properties"], json!({"a": "again"}));
}

#[test]
fn purge_props_false_keeps_properties() {
    let server = Server::shared();
    let id = server.create(&[
        ("x-image-meta-property-a", "1"),
        ("x-image-meta-property-b", "2"),
    ]);
    let image = updated(&id, &[KEEP, ("x-image-meta-property-b", "3")]);
    assert_eq!(image["properties"], json!({"a": "1", "b": "3"}));
    for word in ["0", "no", "off", "banana", "False"] {
        let keep = ("X-Glance-Registry-Purge-Props", word);
        assert_eq!(
            updated(&id, &[keep])["properties"],
            json!({"a": "1", "b": "3"}),
            "{word}"
        );
    }
    let purge = ("x-glance-registry-purge-props", "true");
    assert_eq!(updated(&id, &[purge])["properties"], json!({}));
}

#[test]
fn data_disable_purging() {
    let server = Server::shared();
    let id = server.create(&[RAW[0], RAW[1], ("x-image-meta-property-a", "1")]);
    let upload = put_data(&id, &[("x-image-meta-property-b", "2")], b"data");
    let image = image_of(&server.request(&upload).expect(200));
    assert_eq!(image["properties"], json!({"a": "1", "b": "2"}));
}

#[test]
fn property_quota_counts_each_name_once() {
    let server = Server::shared();
    let with = |request: Request, from: usize, to: usize| {
        let add = |request: Request, n| request.header(&format!("x-image-meta-property-{n}"), "v");
        (from..to).fold(request, add)
    };
    let created = server.request(&with(post(&[]), 0, 100)).expect(201);
    let id = crate::support::v1::id_of(&created);
    server
        .request(&with(put(&id, &[KEEP]), 50, 128))
        .expect(200);
    server
        .request(&with(put(&id, &[KEEP]), 128, 129))
        .expect(413);
    server.request(&with(put(&id, &[]), 128, 256)).expect(200);
    server.request(&with(put(&id, &[]), 0, 129)).expect(413);
}

#[test]
fn id_and_status_cannot_change() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    refused(&id, &[("x-image-meta-id", &fresh_id())], 403);
    for status in ["queued", "killed", "deleted", "saving", "banana", ""] {
        refused(&id, &[("x-image-meta-status", status)], 403);
    }
    updated(
        &id,
        &[("x-image-meta-id", &id), ("x-image-meta-status", "active")],
    );
}

#[test]
fn update_cannot_delete() {
    let server = Server::shared();
    let id = server.create(&[]);
    let image = updated(
        &id,
        &[
            ("x-image-meta-deleted", "True"),
            ("x-image-meta-deleted_at", "2020-01-01"),
        ],
    );
    assert_eq!(
        (&image["deleted"], &image["deleted_at"]),
        (&json!(false), &Value::Null)
    );
}

#[test]
fn deleted_image_cannot_change() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    server.remove(&id).expect(200);
    refused(&id, &[("x-image-meta-name", "n")], 403);
    refused(&id, &[("x-image-meta-status", "active")], 403);
}

#[test]
fn unknown_image_is_not_found() {
    let server = Server::shared();
    server
        .request(&put(&fresh_id(), &[("x-image-meta-name", "n")]))
        .expect(404);
    server
        .request(&put_data(&fresh_id(), &[], b"data"))
        .expect(404);
}

#[test]
fn invalid_metadata_precede_other_errors() {
    let server = Server::shared();
    let deleted = server.reserve();
    server.remove(&deleted).expect(200);
    for id in [&fresh_id(), &deleted] {
        for (header, value) in [
            ("x-image-meta-foo", "1"),
            ("x-image-meta-size", "x"),
            ("x-image-meta-disk_format", "floppy"),
            ("x-image-meta-created_at", "yesterday"),
        ] {
            server.request(&put(id, &[(header, value)])).expect(400);
        }
    }
}

#[test]
fn protected_image_can_change() {
    let id = Server::shared().create(&[("x-image-meta-protected", "1")]);
    assert_eq!(updated(&id, &[("x-image-meta-name", "n")])["name"], "n");
}

#[test]
fn amazon_format_sets_the_other_in_each_request() {
    let server = Server::shared();
    let id = server.create(RAW);
    let image = updated(&id, &[("x-image-meta-disk_format", "ami")]);
    assert_eq!(image["container_format"], "ami");
    let mix = [
        ("x-image-meta-disk_format", "ami"),
        ("x-image-meta-container_format", "bare"),
    ];
    refused(&id, &mix, 400);
}

#[test]
fn refused_source_is_invalid() {
    let server = Server::shared();
    let (queued, active) = (server.reserve(), server.upload(&[], b"data"));
    for header in ["x-image-meta-location", "x-glance-api-copy-from"] {
        for id in [&queued, &active] {
            refused(id, &[(header, "http://127.0.0.1:1/x")], 400);
            refused(id, &[(header, "")], 400);
        }
    }
}

#[test]
fn concurrent_updates_are_all_kept() {
    let server = Server::shared();
    let id = server.create(&[]);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let id = &id;
            scope.spawn(move || {
                for round in 0..5 {
                    let property = format!("x-image-meta-property-{thread}-{round}");
                    updated(id, &[KEEP, (&property, "v")]);
                }
            });
        }
    });
    let image = server.detail_of(&id);
    assert_eq!(image["properties"].as_object().unwrap().len(), 40);
}
