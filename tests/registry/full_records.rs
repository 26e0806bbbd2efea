//! Images whose metadata fill their records can be uploaded and deleted with every registry, also
//! with delayed deletion of data.

use serde_json::json;

use crate::support::http::Request;
use crate::support::other_registry::OtherRegistry;
use crate::support::server::{Server, Setup};
use crate::support::v1::{RAW, id_of, image_path, post, put_data};

/// Length of a property value, below the limit of a header line.
const MOST_QUOTES: usize = 14_000;

fn delaying() -> Setup {
    Setup::new().option("delayed_delete", true)
}

/// Creates an image with this many quotation marks in its properties. Each uses two bytes of a
/// record.
fn fill(node: &Server, quotes: usize) -> Option<String> {
    let names = [
        "x-image-meta-property-a",
        "x-image-meta-property-b",
        "x-image-meta-property-c",
    ];
    let mut request = post(RAW);
    let mut left = quotes;
    for name in names {
        let value = "\"".repeat(left.min(MOST_QUOTES));
        left -= value.len();
        request = request.header(name, &value);
    }
    let answer = node.request(&request);
    match answer.status {
        413 => None,
        _ => Some(id_of(&answer.expect(201))),
    }
}

/// Creates the image with the most metadata that the node accepts.
fn fullest(node: &Server) -> String {
    let (mut fits, mut too_many) = (0, 3 * MOST_QUOTES);
    let mut id = fill(node, fits).expect("it fits");
    assert_eq!(fill(node, too_many), None);
    while too_many - fits > 1 {
        let middle = (fits + too_many) / 2;
        match fill(node, middle) {
            Some(filled) => (fits, id) = (middle, filled),
            None => too_many = middle,
        }
    }
    id
}

/// Uploads and deletes the image with the most metadata.
fn assert_it_lives(node: &Server) {
    let id = fullest(node);
    let keep = ("x-glance-registry-purge-props", "false");
    node.request(&put_data(&id, &[keep], b"data")).expect(200);
    let more = [keep, ("x-image-meta-property-d", "more")];
    node.request(&Request::put(&image_path(&id)).headers(&more))
        .expect(413);
    let member = format!("{}/members/{}", image_path(&id), "m".repeat(250));
    node.request(&Request::put(&member).body(b"")).expect(413);
    assert_eq!(node.download(&id).expect(200).body, b"data");
    node.remove(&id).expect(200);
    assert_eq!(node.status_of(&id), "pending_delete");
}

#[test]
fn full_record_is_usable_in_an_embedded_registry() {
    assert_it_lives(&delaying().start());
}

#[test]
fn full_record_is_usable_in_a_registry_server() {
    let registry = Setup::registry().start();
    let node = delaying().registry_at(registry.address()).start();
    assert_it_lives(&node);

    // A record that other API servers have filled to the last byte.
    let image = |len: usize| {
        json!({ "image": { "status": "active", "location": "file:///nowhere/x",
            "properties": { "p": "x".repeat(len) } } })
    };
    let register = |len: usize| {
        let request = Request::post("/images").header("Content-Type", "application/json");
        registry.request(&request.body(image(len).to_string().as_bytes()))
    };
    let (mut fits, mut too_long) = (60_000, 66_000);
    let mut id = id_of(&register(fits).expect(200));
    while too_long - fits > 1 {
        let middle = (fits + too_long) / 2;
        let answer = register(middle);
        match answer.status {
            413 => too_long = middle,
            _ => (fits, id) = (middle, id_of(&answer.expect(200))),
        }
    }
    node.remove(&id).expect(200);
    assert_eq!(node.status_of(&id), "pending_delete");
}

#[test]
fn full_record_is_usable_in_a_legacy_registry() {
    let registry = OtherRegistry::start();
    assert_it_lives(&delaying().registry_at(registry.address()).start());
}

#[cfg(feature = "etcd")]
#[test]
fn full_record_is_usable_in_etcd() {
    let etcd = crate::support::etcd::Etcd::start(1);
    assert_it_lives(&delaying().etcd(&etcd).start());
}
