//! `GET /v1/images/detail`.

use serde_json::json;

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::unique;
use crate::support::v1::image_of;
use crate::support::v1::post_data;

#[test]
fn entry_equals_created_image() {
    let server = Server::shared();
    let headers = [
        ("x-image-meta-property-a", "1"),
        ("x-image-meta-property-empty", ""),
    ];
    let created = server.request(&post_data(&headers, b"data")).expect(201);
    let image = image_of(&created);
    assert_eq!(server.detail_of(image["id"].as_str().unwrap()), image);
    let mut fields: Vec<_> = image
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let wanted = [
        "checksum",
        "container_format",
        "created_at",
        "deleted",
        "deleted_at",
        "disk_format",
        "id",
        "is_public",
        "min_disk",
        "min_ram",
        "name",
        "owner",
        "properties",
        "protected",
        "size",
        "status",
        "updated_at",
        "virtual_size",
    ];
    assert_eq!(fields, wanted);
    assert_eq!(image["properties"], json!({"a": "1", "empty": null}));
}

#[test]
fn filters_order_and_limits_equal_index() {
    let server = Server::shared();
    let name = unique("detailed");
    for size in ["3", "1", "2"] {
        server.create(&[("x-image-meta-name", &name), ("x-image-meta-size", size)]);
    }
    let query = format!("is_public=None&name={name}&sort_key=size&sort_dir=asc&limit=2");
    let detail = server.json(&format!("/v1/images/detail?{query}"));
    let sizes: Vec<_> = detail["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| &i["size"])
        .collect();
    assert_eq!(sizes, [&json!(1), &json!(2)]);
    server
        .request(&Request::get("/v1/images/detail?limit=x"))
        .expect(400);
}
