//! `POST /v1/images` without data: reservations, identifiers, stores and external sources.

use serde_json::{Value, json};

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{RAW, id_of, image_of, image_path, post, post_data};

/// Returns a new identifier for an image whose client chooses it.
pub fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[test]
fn reservation_has_default_fields() {
    let created = Server::shared().request(&post(&[])).expect(201);
    let mut image = image_of(&created);
    let object = image.as_object_mut().unwrap();
    let id = object.remove("id").unwrap();
    let uuid: uuid::Uuid = id.as_str().unwrap().parse().unwrap();
    assert_eq!(uuid.get_version_num(), 4);
    assert_eq!(id, json!(uuid.hyphenated().to_string()), "in lower case");
    let created_at = object.remove("created_at").unwrap();
    assert_eq!(object.remove("updated_at"), Some(created_at.clone()));
    check_time(&created_at);
    let wanted = json!({
        "name": null, "status": "queued", "size": 0, "virtual_size": null,
        "disk_format": null, "container_format": null, "checksum": null, "owner": null,
        "is_public": false, "protected": false, "min_disk": 0, "min_ram": 0,
        "deleted_at": null, "deleted": false, "properties": {},
    });
    assert_eq!(image, wanted);
}

/// Checks for the form `2010-02-03T09:34:01.123456`, without the fraction if it is zero.
fn check_time(time: &Value) {
    let time = time.as_str().expect("a time");
    let form: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '9' } else { c })
        .collect();
    let forms = ["9999-99-99T99:99:99.999999", "9999-99-99T99:99:99"];
    assert!(forms.contains(&form.as_str()), "{time}");
}

#[test]
fn response_has_location_and_image() {
    let server = Server::shared();
    let created = server.request(&post(&[])).expect(201);
    let location = format!("http://127.0.0.1/v1/images/{}", id_of(&created));
    assert_eq!(created.header("location"), Some(location.as_str()));
    assert_eq!(created.header("content-type"), Some("application/json"));
    assert_eq!(created.header("etag"), None, "there is no checksum yet");
}

#[test]
fn content_length_zero_reserves() {
    let created = Server::shared().request(&post(RAW).body("")).expect(201);
    assert_eq!(image_of(&created)["status"], "queued");
}

#[test]
fn content_type_without_body_is_ignored() {
    for content_type in ["application/json", "text/plain", ""] {
        let request = post(RAW).header("Content-Type", content_type);
        let created = Server::shared().request(&request).expect(201);
        assert_eq!(image_of(&created)["status"], "queued");
    }
}

#[test]
fn stated_size_zero_makes_image_active() {
    let server = Server::shared();
    let created = server
        .request(&post(&[("x-image-meta-size", "0")]))
        .expect(201);
    let image = image_of(&created);
    assert_eq!(image["status"], "active");
    assert_eq!(image["checksum"], Value::Null);
    let got = server.download(&id_of(&created)).expect(200);
    assert!(got.body.is_empty());
    assert_eq!(got.header("content-length"), Some("0"));
}

#[test]
fn queued_image_shows_stated_size() {
    let server = Server::shared();
    let id = server.create(&[("x-image-meta-size", "12345")]);
    let head = server.head(&id).expect(200);
    assert_eq!(head.header("x-image-meta-size"), Some("12345"));
    assert_eq!(head.header("x-image-meta-status"), Some("queued"));
}

#[test]
fn chosen_id_is_kept_as_sent() {
    let server = Server::shared();
    let (plain, upper) = (fresh_id(), fresh_id().to_uppercase());
    let simple = fresh_id().replace('-', "");
    for id in [plain, upper, simple] {
        let created = server
            .request(&post(&[("x-image-meta-id", &id)]))
            .expect(201);
        assert_eq!(id_of(&created), id);
        server.head(&id).expect(200);
    }
}

#[test]
fn ids_are_compared_exactly() {
    let server = Server::shared();
    let id = fresh_id();
    server.create(&[("x-image-meta-id", &id)]);
    let simple = id.replace('-', "");
    server.head(&simple).expect(404);
    server.create(&[("x-image-meta-id", &simple)]);
}

#[test]
fn id_must_be_uuid() {
    for id in [
        "",
        "1",
        "detail",
        "71c675ab-d94f-49cd-a114-e12490b328dg",
        "../x",
    ] {
        let request = post(&[("x-image-meta-id", id)]);
        Server::shared().request(&request).expect(400);
    }
}

#[test]
fn existing_id_is_conflict() {
    let server = Server::shared();
    let id = server.upload(&[("x-image-meta-name", "first")], b"data");
    let again = [
        ("x-image-meta-id", id.as_str()),
        ("x-image-meta-name", "second"),
    ];
    server.request(&post(&again)).expect(409);
    server.request(&post_data(&again, b"other")).expect(409);
    let got = server.download(&id).expect(200);
    assert_eq!(got.body, b"data");
    assert_eq!(got.header("x-image-meta-name"), Some("first"));
}

#[test]
fn id_of_deleted_image_is_conflict() {
    let server = Server::shared();
    let id = server.upload(&[], b"data");
    server.remove(&id).expect(200);
    server
        .request(&post(&[("x-image-meta-id", &id)]))
        .expect(409);
}

#[test]
fn one_of_concurrent_creations_gets_id() {
    let server = Server::shared();
    let id = fresh_id();
    let statuses = std::thread::scope(|scope| {
        let post = || server.request(&post(&[("x-image-meta-id", &id)])).status;
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(post)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<u16>| thread.join().unwrap();
        threads.into_iter().map(join).collect::<Vec<_>>()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7);
}

#[test]
fn configured_store_is_accepted() {
    for store in ["file", "filesystem"] {
        let headers = [("x-image-meta-store", store)];
        let id = Server::shared().upload(&headers, b"data");
        let head = Server::shared().head(&id).expect(200);
        assert_eq!(
            head.header("x-image-meta-store"),
            None,
            "only said, never shown"
        );
    }
}

/// Sends a request with a new identifier and checks that no image of this identifier was created.
#[track_caller]
fn expect_refusal_without_image(request: Request, status: u16) {
    let id = fresh_id();
    let request = request.header("x-image-meta-id", &id);
    Server::shared().request(&request).expect(status);
    Server::shared().head(&id).expect(404);
}

#[test]
fn unknown_store_creates_no_image() {
    for store in ["", "s3", "tape", "file:///"] {
        expect_refusal_without_image(post(&[("x-image-meta-store", store)]), 400);
        expect_refusal_without_image(post_data(&[("x-image-meta-store", store)], b"data"), 400);
    }
}

#[test]
fn refused_source_creates_no_image() {
    for header in ["x-image-meta-location", "x-glance-api-copy-from"] {
        for source in [
            "http://127.0.0.1:1/x",
            "file:///etc/passwd",
            "filesystem:///etc/passwd",
            "swift+config://a/b/c",
            "gopher://x",
            "x",
            "",
        ] {
            expect_refusal_without_image(post(&[(header, source)]).headers(RAW), 400);
            expect_refusal_without_image(post_data(&[(header, source)], b"data"), 400);
        }
    }
}

#[test]
fn refused_request_creates_no_image() {
    for (header, value) in [
        ("x-image-meta-foo", "1"),
        ("x-image-meta-size", "-1"),
        ("x-image-meta-disk_format", "floppy"),
        ("x-image-meta-checksum", "012345678901234567890123456789012"),
    ] {
        expect_refusal_without_image(post(&[(header, value)]), 400);
    }
}

#[test]
fn property_quota_is_enforced() {
    let server = Server::shared();
    let with = |count: usize| {
        let add = |request: Request, n| request.header(&format!("x-image-meta-property-{n}"), "v");
        (0..count).fold(post(&[]), add)
    };
    let created = server.request(&with(128)).expect(201);
    assert_eq!(
        image_of(&created)["properties"].as_object().unwrap().len(),
        128
    );
    let id = fresh_id();
    let refused = with(129).header("x-image-meta-id", &id);
    server.request(&refused).expect(413);
    server.request(&Request::head(&image_path(&id))).expect(404);
}
