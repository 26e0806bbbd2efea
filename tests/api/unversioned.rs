//! The paths of the first documents, which have no version.

use serde_json::json;

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{OCTETS, RAW, id_of, image_of};
use crate::support::{md5_hex, unique};

#[test]
fn unversioned_lists_have_the_url_of_each_image() {
    let server = Server::shared();
    let name = unique("seed");
    let id = server.create(&[("x-image-meta-name", &name)]);
    let address = json!(format!("http://127.0.0.1/images/{id}"));
    for path in ["/images", "/images/", "/images/detail", "/images/detail/"] {
        let list = server.json(&format!("{path}?is_public=None&name={name}"));
        assert_eq!(list["images"][0]["uri"], address, "{path}");
    }
    let detail = server.json(&format!("/images/detail?is_public=None&name={name}"));
    assert!(detail["images"][0]["properties"].is_object());
    let versioned = server.json(&format!("/v1/images?is_public=None&name={name}"));
    assert_eq!(versioned["images"][0].get("uri"), None);
}

#[test]
fn unversioned_paths_serve_the_whole_life_cycle() {
    let server = Server::shared();
    for slash in ["", "/"] {
        let create = Request::post(&format!("/images{slash}"));
        let create = create.headers(RAW).headers(&[OCTETS]).body("data");
        let created = server.request(&create).expect(201);
        let id = id_of(&created);
        let address = format!("http://127.0.0.1/images/{id}");
        assert_eq!(created.header("location"), Some(address.as_str()));
        assert_eq!(image_of(&created)["uri"], json!(address));

        let path = format!("/images/{id}{slash}");
        let got = server.request(&Request::get(&path)).expect(200);
        assert_eq!(got.body, b"data");
        assert_eq!(got.header("x-image-meta-uri"), Some(address.as_str()));

        let update = Request::put(&path).header("x-image-meta-name", "other");
        let updated = image_of(&server.request(&update).expect(200));
        assert_eq!(
            (&updated["name"], &updated["uri"]),
            (&json!("other"), &json!(address))
        );

        let gone = server.request(&Request::delete(&path)).expect(200);
        assert!(gone.body.is_empty());
        server.request(&Request::get(&path)).expect(404);
    }
}

#[test]
fn unversioned_headers_have_both_spellings() {
    let server = Server::shared();
    let created = Request::post("/images/").headers(RAW).headers(&[OCTETS]);
    let created = created
        .header("x-image-meta-is-public", "true")
        .body("data");
    let id = id_of(&server.request(&created).expect(201));
    let head = server
        .request(&Request::head(&format!("/images/{id}")))
        .expect(200);
    for (field, value) in [
        ("disk_format", "raw"),
        ("container_format", "bare"),
        ("is_public", "True"),
        ("min_disk", "0"),
        ("min_ram", "0"),
    ] {
        let dashed = field.replace('_', "-");
        for name in [field, &dashed] {
            let header = format!("x-image-meta-{name}");
            assert_eq!(head.header(&header), Some(value), "{name}");
        }
    }
    assert_eq!(
        head.header("x-image-meta-created-at"),
        head.header("x-image-meta-created_at")
    );
    assert_eq!(
        head.header("x-image-meta-checksum"),
        Some(md5_hex(b"data").as_str())
    );
    let versioned = server.head(&id).expect(200);
    assert_eq!(versioned.header("x-image-meta-disk-format"), None);
    assert_eq!(versioned.header("x-image-meta-uri"), None);
}

#[test]
fn unversioned_paths_serve_members() {
    let server = Server::shared();
    let id = server.reserve();
    let member = Request::put(&format!("/images/{id}/members/t"));
    server.request(&member).expect(204);
    for path in [
        format!("/images/{id}/members"),
        format!("/images/{id}/members/"),
    ] {
        let members = server.json(&path);
        assert_eq!(
            members,
            json!({"members": [{"member_id": "t", "can_share": false}]})
        );
    }
}

#[test]
fn v1_images_with_a_slash_is_v1_images() {
    let server = Server::shared();
    let name = unique("slash");
    let create = Request::post("/v1/images/").header("x-image-meta-name", &name);
    let created = server.request(&create).expect(201);
    assert_eq!(image_of(&created).get("uri"), None);
    let id = id_of(&created);
    let location = format!("http://127.0.0.1/v1/images/{id}");
    assert_eq!(created.header("location"), Some(location.as_str()));
    let list = server.json(&format!("/v1/images/?is_public=None&name={name}"));
    assert_eq!(list["images"][0]["id"], json!(id));
}
