//! Text in headers: UTF-8 bytes, and the percent escapes of python-glanceclient.

use serde_json::json;

use crate::support::http::Request;
use crate::support::server::Server;
use crate::support::v1::{id_of, image_of, post};

const GLANCECLIENT: (&str, &str) = ("User-Agent", "python-glanceclient");

#[test]
fn utf8_comes_back_as_it_was_sent() {
    let server = Server::shared();
    for name in [
        "München",
        "日本語 イメージ",
        "naïve — “quoted”",
        "\u{FFFD}",
        "ı̇",
    ] {
        let headers = [
            ("x-image-meta-name", name),
            ("x-image-meta-property-os", name),
        ];
        let created = server.request(&post(&headers)).expect(201);
        assert_eq!(image_of(&created)["name"], json!(name));
        let head = server.head(&id_of(&created)).expect(200);
        assert_eq!(
            head.header_bytes("x-image-meta-name"),
            Some(name.as_bytes())
        );
        assert_eq!(
            head.header_bytes("x-image-meta-property-os"),
            Some(name.as_bytes())
        );
    }
}

#[test]
fn names_can_be_looked_for_in_utf8() {
    let server = Server::shared();
    let name = crate::support::unique("Größe");
    let id = server.create(&[("x-image-meta-name", &name)]);
    let escaped: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    assert_eq!(
        server.listed(&format!("is_public=None&name={escaped}")),
        [id]
    );
}

#[test]
fn latin_1_is_refused() {
    let server = Server::shared();
    for value in [&b"M\xFCnchen"[..], b"\xFF", b"\xC3", b"\xED\xA0\x80"] {
        for field in ["x-image-meta-name", "x-image-meta-property-city"] {
            let request = Request::post("/v1/images").header(field, value);
            server.request(&request).expect(400);
        }
    }
}

#[test]
fn characters_of_four_bytes_are_refused() {
    let server = Server::shared();
    for field in ["x-image-meta-name", "x-image-meta-property-face"] {
        let request = Request::post("/v1/images").header(field, "a \u{1F600} b");
        server.request(&request).expect(400);
    }
    let key = ("x-image-meta-property-%F0%9F%98%80", "x");
    server.request(&post(&[GLANCECLIENT, key])).expect(400);
}

#[test]
fn escapes_of_other_clients_are_kept() {
    let server = Server::shared();
    for agent in ["curl/8.5", "", "fog-openstack", "not python-glanceclient"] {
        let created = server.request(&post(&[
            ("User-Agent", agent),
            ("x-image-meta-name", "two%20words"),
            ("x-image-meta-property-a%20b", "1%2B1"),
        ]));
        let image = image_of(&created.expect(201));
        assert_eq!(image["name"], "two%20words", "{agent}");
        assert_eq!(image["properties"], json!({"a%20b": "1%2B1"}), "{agent}");
    }
}

#[test]
fn escapes_of_python_glanceclient_are_decoded() {
    let server = Server::shared();
    let created = server.request(&post(&[
        GLANCECLIENT,
        ("x-image-meta-name", "Ubuntu%2022.04%20%C3%BC"),
        ("x-image-meta-property-two%20words", "1%2B1%3D2%25"),
        ("x-image-meta-disk_format", "qcow2"),
    ]));
    let image = image_of(&created.expect(201));
    assert_eq!(image["name"], "Ubuntu 22.04 ü");
    assert_eq!(image["properties"], json!({"two words": "1+1=2%"}));
    let id = image["id"].as_str().unwrap();
    let update = Request::put(&format!("/v1/images/{id}"))
        .headers(&[GLANCECLIENT, ("x-image-meta-name", "a%20b")]);
    assert_eq!(
        image_of(&server.request(&update).expect(200))["name"],
        "a b"
    );
}

/// Versions before 2.11 have the same User-Agent and escape nothing. One header that newer ones
/// cannot have sent identifies them.
#[test]
fn text_of_old_python_glanceclient_is_kept() {
    let server = Server::shared();
    for other in ["10.04 LTS", "München", "a=b", "100%", "%2f"] {
        let created = server.request(&post(&[
            GLANCECLIENT,
            ("x-image-meta-name", "fifty%20off"),
            ("x-image-meta-property-os", other),
        ]));
        let image = image_of(&created.expect(201));
        assert_eq!(image["name"], "fifty%20off", "{other}");
        assert_eq!(image["properties"], json!({"os": other}));
    }
}

#[test]
fn property_names_beyond_ascii_can_be_filtered() {
    let server = Server::shared();
    let created = server.request(&post(&[
        GLANCECLIENT,
        ("x-image-meta-property-%C3%84nderung", "1"),
    ]));
    let image = image_of(&created.expect(201));
    assert_eq!(image["properties"], json!({"Änderung": "1"}));
    let listed = server.listed("is_public=None&property-%C3%84nderung=1");
    assert!(listed.contains(&image["id"].as_str().expect("an id").to_owned()));
}

#[test]
fn invalid_escapes_are_kept() {
    let server = Server::shared();
    for (sent, stored) in [
        ("100%", "100%"),
        ("%zz", "%zz"),
        ("%4", "%4"),
        ("a+b", "a+b"),
    ] {
        let created = server.request(&post(&[GLANCECLIENT, ("x-image-meta-name", sent)]));
        assert_eq!(image_of(&created.expect(201))["name"], stored);
    }
}

#[test]
fn escapes_cannot_smuggle_control_characters() {
    let server = Server::shared();
    for (header, value) in [
        ("x-image-meta-name", "a%0d%0ax-injected:%20yes"),
        ("x-image-meta-property-a", "x%00y"),
        ("x-image-meta-property-a%0d%0ab", "x"),
    ] {
        let created = server.request(&post(&[GLANCECLIENT, (header, value)]));
        if created.status == 400 {
            continue;
        }
        let head = server.head(&id_of(&created.expect(201))).expect(200);
        assert_eq!(head.header("x-injected"), None, "{header}: {value}");
    }
}

#[test]
fn surrounding_spaces_are_trimmed() {
    let server = Server::shared();
    let created = server.request(&post(&[("x-image-meta-name", "  a  b \t ")]));
    assert_eq!(image_of(&created.expect(201))["name"], "a  b");
}

#[test]
fn repeated_headers_are_joined() {
    let server = Server::shared();
    let created = server.request(&post(&[
        ("x-image-meta-name", "1"),
        ("X-Image-Meta-Name", "2"),
        ("x-image-meta-property-p", "a"),
        ("x-image-meta-property-p", "b"),
    ]));
    let image = image_of(&created.expect(201));
    assert_eq!(image["name"], "1,2");
    assert_eq!(image["properties"], json!({"p": "a,b"}));
}
