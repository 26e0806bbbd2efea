//! `POST /v1/images`: the values of each field and the spellings of its header.

use serde_json::{Value, json};

use crate::support::server::Server;
use crate::support::v1::{Headers, image_of, post};

#[track_caller]
fn created(headers: Headers) -> Value {
    image_of(&Server::shared().request(&post(headers)).expect(201))
}

#[track_caller]
fn field(name: &str, value: &str) -> Value {
    let image = created(&[(&format!("x-image-meta-{name}"), value)]);
    image[name.replace('-', "_")].clone()
}

#[track_caller]
fn refused(name: &str, value: &str) {
    let header = format!("x-image-meta-{name}");
    let answer = Server::shared().request(&post(&[(&header, value)]));
    assert_eq!(answer.status, 400, "{name}: {value:?}");
}

#[test]
fn every_field_is_accepted_in_every_spelling() {
    let spellings: [fn(&str) -> String; 4] = [
        |name| format!("x-image-meta-{name}"),
        |name| format!("x-image-meta-{}", name.replace('_', "-")),
        |name| format!("X-Image-Meta-{}", name.to_uppercase()),
        |name| format!("X-IMAGE-META-{}", name.to_uppercase().replace('_', "-")),
    ];
    for spell in spellings {
        let fields = [
            ("name", "Fedora"),
            ("disk_format", "qcow2"),
            ("container_format", "ovf"),
            ("size", "42"),
            ("virtual_size", "43"),
            ("checksum", "c2e5db72bd7fd153f53ede5da5a06de3"),
            ("owner", "tenant"),
            ("is_public", "True"),
            ("protected", "True"),
            ("min_disk", "5"),
            ("min_ram", "256"),
            ("property-os_distro", "fedora"),
        ];
        let named: Vec<_> = fields
            .iter()
            .map(|(name, value)| (spell(name), *value))
            .collect();
        let headers: Vec<_> = named
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        let image = created(&headers);
        for (name, value) in [
            ("name", json!("Fedora")),
            ("disk_format", json!("qcow2")),
            ("container_format", json!("ovf")),
            ("size", json!(42)),
            ("virtual_size", json!(43)),
            ("checksum", json!("c2e5db72bd7fd153f53ede5da5a06de3")),
            ("owner", json!("tenant")),
            ("is_public", json!(true)),
            ("protected", json!(true)),
            ("min_disk", json!(5)),
            ("min_ram", json!(256)),
            ("properties", json!({"os_distro": "fedora"})),
        ] {
            assert_eq!(image[name], value, "{name} as {}", spell(name));
        }
    }
}

#[test]
fn unknown_fields_are_refused() {
    for name in [
        "foo",
        "type",
        "disk.format",
        "propert",
        "visibility",
        "tags",
    ] {
        refused(name, "x");
    }
}

#[test]
fn ignored_fields_have_no_effect() {
    for (name, value) in [
        ("status", "active"),
        ("status", "banana"),
        ("deleted", "True"),
        ("uri", "http://example.org/x"),
        ("copy_from", "http://example.org/x"),
        ("deleted_at", "2010-02-03T09:34:01"),
    ] {
        let image = created(&[(&format!("x-image-meta-{name}"), value)]);
        assert_eq!(image["status"], "queued", "{name}: {value}");
        assert_eq!(image["deleted"], false, "{name}: {value}");
        assert_eq!(image["deleted_at"], Value::Null, "{name}: {value}");
    }
}

#[test]
fn integers_are_parsed_like_glance() {
    for name in ["size", "min_disk", "min_ram", "virtual_size"] {
        assert_eq!(field(name, "7"), json!(7));
        assert_eq!(field(name, "007"), json!(7));
        for value in ["", "-1", "1.5", "1e3", "0x10", "x", "1 2", "１", "1_000"] {
            refused(name, value);
        }
        refused(name, "99999999999999999999999999");
    }
    assert_eq!(field("min_disk", "2147483647"), json!(2_147_483_647));
    assert_eq!(field("min_ram", "2147483647"), json!(2_147_483_647));
    refused("min_disk", "2147483648");
    refused("min_ram", "2147483648");
    assert_eq!(field("virtual_size", "None"), Value::Null);
    assert_eq!(
        field("virtual_size", "9223372036854775807"),
        json!(i64::MAX)
    );
}

#[test]
fn stated_size_may_equal_cap() {
    assert_eq!(field("size", "1099511627776"), json!(1_099_511_627_776_u64));
    refused("size", "1099511627777");
}

#[test]
fn booleans_are_never_refused() {
    for name in ["is_public", "protected"] {
        for word in ["1", "t", "T", "true", "TRUE", "on", "On", "y", "yes", "YES"] {
            assert_eq!(field(name, word), json!(true), "{name}: {word}");
        }
        for word in ["", "0", "false", "no", "2", "tru", "None", "banana"] {
            assert_eq!(field(name, word), json!(false), "{name}: {word}");
        }
    }
}

#[test]
fn times_are_validated() {
    for name in ["created_at", "updated_at", "deleted_at"] {
        for value in [
            "2010-02-03T09:34:01",
            "2010-02-03T09:34:01.5Z",
            "2010-02-03",
        ] {
            created(&[(&format!("x-image-meta-{name}"), value)]);
        }
        for value in ["yesterday", "2010-13-01", "1899-12-31T23:59:59", "7"] {
            refused(name, value);
        }
    }
}

#[test]
fn names_are_limited_in_length() {
    let longest = "ü".repeat(255);
    assert_eq!(field("name", &longest), json!(longest));
    refused("name", &"x".repeat(256));
    assert_eq!(field("name", ""), Value::Null);
    assert_eq!(
        field("name", "<b>\"quoted\"\\</b>"),
        json!("<b>\"quoted\"\\</b>")
    );
}

#[test]
fn checksums_are_stored_as_text() {
    assert_eq!(
        field("checksum", "ABC"),
        json!("ABC"),
        "any text, as it was sent"
    );
    assert_eq!(field("checksum", &"0".repeat(32)), json!("0".repeat(32)));
    assert_eq!(field("checksum", ""), Value::Null);
    refused("checksum", &"0".repeat(33));
}

#[test]
fn owner_is_set_for_administrator() {
    assert_eq!(field("owner", "tenant"), json!("tenant"));
    assert_eq!(field("owner", ""), Value::Null);
}

#[test]
fn property_names_are_validated() {
    let image = created(&[
        ("x-image-meta-property-Kernel-Id", "1"),
        ("X-Image-Meta-Property-OS_Type", "2"),
        ("x-image-meta-property-a.b+c~d%20!", "3"),
        ("x-image-meta-property-name", "not the name"),
        ("x-image-meta-property-status", "not the status"),
        ("x-image-meta-property-property-x", "4"),
    ]);
    let wanted = json!({
        "kernel_id": "1", "os_type": "2", "a.b+c~d%20!": "3",
        "name": "not the name", "status": "not the status", "property_x": "4",
    });
    assert_eq!(image["properties"], wanted);
    assert_eq!(
        (&image["name"], &image["status"]),
        (&Value::Null, &json!("queued"))
    );
}

#[test]
fn empty_property_is_null_and_has_no_header() {
    let server = Server::shared();
    let image = created(&[("x-image-meta-property-empty", "")]);
    assert_eq!(image["properties"], json!({"empty": null}));
    let head = server.head(image["id"].as_str().unwrap()).expect(200);
    assert_eq!(head.header("x-image-meta-property-empty"), None);
}

#[test]
fn unrelated_headers_are_ignored() {
    let image = created(&[
        ("x-image-metadata", "1"),
        ("x-image", "2"),
        ("x-meta-name", "3"),
    ]);
    assert_eq!(image["name"], Value::Null);
    assert_eq!(image["properties"], json!({}));
}
