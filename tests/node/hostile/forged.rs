//! Metadata that clients may not set.

use super::{assert_alive, assert_only, outside_registry};
use crate::support::bytes::md5_hex;
use crate::support::http::Request;
use crate::support::server::Setup;
use crate::support::setup::temp_folder;
use crate::support::v1::{UPLOAD, id_of};

#[test]
fn clients_cannot_set_status() {
    let node = Setup::new().start();
    let answer = node.ask("POST", "/v1/images", "x-image-meta-status: active", b"");
    assert_eq!(answer.status, 201);
    let id = id_of(&answer);
    assert_eq!(node.head(&id).image_status(), Some("queued"));
    for status in ["active", "killed", "deleted", "saving", "nonsense"] {
        let header = format!("x-image-meta-status: {status}");
        let answer = node.ask("PUT", &format!("/v1/images/{id}"), &header, b"");
        assert_eq!(answer.status, 403, "{status}");
        assert_eq!(node.head(&id).image_status(), Some("queued"), "{status}");
    }
}

#[test]
fn clients_cannot_set_times_or_deletion() {
    let node = Setup::new().start();
    let id = node.upload(&[], b"abc");
    let before = node.head(&id);
    for header in [
        "x-image-meta-deleted: True",
        "x-image-meta-deleted_at: 2001-01-01T00:00:00",
        "x-image-meta-created_at: 2001-01-01T00:00:00",
        "x-image-meta-updated_at: 2001-01-01T00:00:00",
    ] {
        let answer = node.ask("PUT", &format!("/v1/images/{id}"), header, b"");
        assert!(
            matches!(answer.status, 200 | 403),
            "{header}: {}",
            answer.status
        );
        let after = node.head(&id);
        for field in ["deleted", "deleted_at", "created_at", "status"] {
            let name = format!("x-image-meta-{field}");
            assert_eq!(after.header(&name), before.header(&name), "{header}");
        }
        let updated = after.header("x-image-meta-updated_at").expect("a time");
        assert!(updated > "2020", "{header}");
    }
    assert_eq!(node.download(&id).body, b"abc");
}

/// Administrators may change size and checksum, which must not change the served data.
#[test]
fn stated_size_and_checksum_do_not_change_served_data() {
    let node = Setup::new().start();
    let id = node.upload(&[], b"abcdef");
    let headers = "x-image-meta-size: 3\r\nx-image-meta-checksum: 00000000000000000000000000000000";
    node.ask("PUT", &format!("/v1/images/{id}"), headers, b"");
    let answer = node.download(&id);
    assert_eq!(
        (answer.status, answer.body.as_slice()),
        (200, &b"abcdef"[..])
    );
}

#[test]
fn locations_cannot_read_local_files() {
    let folder = temp_folder();
    let victim = folder.path().join("victim");
    std::fs::write(&victim, "a secret of the machine").expect("a victim");
    let path = victim.display().to_string();
    let node = Setup::new().start();
    let mut locations: Vec<String> = ["file", "FILE", "filesystem", "FileSystem", " file"]
        .iter()
        .map(|scheme| format!("{scheme}://{path}"))
        .collect();
    locations.push(format!("file:{}", path.replace('/', "%2f")));
    locations.push(format!("file%3a//{path}"));
    locations.push(path);
    for other in [
        "swift+config://ref/c/o",
        "sheepdog://x;touch /tmp/x",
        "rbd://x",
        "cinder://x",
        "gopher://127.0.0.1:25/",
        "ftp://127.0.0.1/",
        "data:,x",
        "unix:/run/x",
        "http://127.0.0.1:1/",
    ] {
        locations.push(other.to_owned());
    }
    for location in &locations {
        for header in ["x-image-meta-location", "x-glance-api-copy-from"] {
            let headers = format!("{UPLOAD}\r\n{header}: {location}");
            let answer = node.ask("POST", "/v1/images", &headers, b"");
            assert_eq!(answer.status, 400, "{header}: {location}");
            assert!(!answer.text().contains("a secret"), "{header}: {location}");
        }
    }
    let list = node.ask("GET", "/v1/images?is_public=None", "", b"");
    assert_eq!(list.json()["images"].as_array().map(Vec::len), Some(0));
    let victim = std::fs::read_to_string(victim).expect("still there");
    assert_eq!(victim, "a secret of the machine");
}

#[test]
fn identifiers_cannot_name_other_files() {
    let mut node = Setup::new().start();
    let before = outside_registry(&node);
    let long = "a".repeat(10 * 1024);
    for id in [
        "../../etc/cron.d/x",
        "..%2f..%2fx",
        ".",
        "..",
        "",
        ".staging",
        "-71c675ab-d94f-49cd-a114-e12490b328",
        "71c675ab-d94f-49cd-a114-e12490b328d9/",
        "71c675ab-d94f-49cd-a114-e12490b328d9x",
        "71c675ab/d94f/49cd/a114/e12490b328d9",
        &long,
    ] {
        let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}");
        let answer = node.ask("POST", "/v1/images", &headers, b"abc");
        assert_eq!(answer.status, 400, "{id}");
    }
    let mut wire = node.connect();
    let headers = format!("{UPLOAD}\r\nx-image-meta-id: 71c675ab-d94f-49cd-a114-e12490b328d\0");
    let answer = wire.ask("POST", "/v1/images", &headers, b"");
    assert_eq!(answer.expect("an answer").status, 400);
    assert_eq!(outside_registry(&node), before);
    assert_alive(&mut node);
}

#[test]
fn identifier_of_deleted_image_stays_taken() {
    let node = Setup::new().start();
    let id = node.upload(&[], b"abc");
    let headers = format!("{UPLOAD}\r\nx-image-meta-id: {id}\r\nx-image-meta-name: mine");
    for _ in 0..2 {
        let answer = node.ask("POST", "/v1/images", &headers, b"other");
        assert_eq!(answer.status, 409);
        assert_eq!(answer.header("x-image-meta-checksum"), None);
        assert!(!answer.text().contains(&md5_hex(b"abc")));
        node.ask("DELETE", &format!("/v1/images/{id}"), "", b"");
    }
    assert_only(&node, &[]);
}

/// Values that are returned in headers cannot end a header.
#[test]
fn values_cannot_split_a_response() {
    let node = Setup::new().start();
    for agent in ["curl/8", "python-glanceclient"] {
        let name = "x%0d%0aSet-Cookie: a=b%0d%0a%0d%0abody";
        let headers = format!(
            "User-Agent: {agent}\r\nx-image-meta-name: {name}\r\n\
             x-image-meta-property-k: %0d%0aInjected: yes"
        );
        let id = id_of(&node.ask("POST", "/v1/images", &headers, b""));
        let answer = node.head(&id);
        assert_eq!(answer.header("x-image-meta-name"), Some(name), "{agent}");
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("injected"), None);
    }
    let hosts = ["evil.example/\"><script>", "a b", "x%0d%0ay"];
    for host in hosts {
        let mut wire = node.connect();
        let head = format!("GET /versions HTTP/1.1\r\nHost: {host}\r\n\r\n");
        wire.send_bytes(head.as_bytes()).expect("sent");
        if let Ok(answer) = wire.read_response("GET") {
            assert!(!answer.text().contains(host), "{host}");
        }
    }
}

#[test]
fn values_must_be_text() {
    let node = Setup::new().start();
    let values: [(&str, &[u8]); 7] = [
        ("a NUL", b"a\0b"),
        ("Latin-1", b"caf\xe9"),
        ("overlong", b"\xc0\xaf"),
        ("a lone surrogate", b"\xed\xa0\x80"),
        ("cut short", b"\xe2\x82"),
        ("outside the basic plane", "\u{1f427}".as_bytes()),
        ("no UTF-8 at all", b"\xff\xfe"),
    ];
    for (what, value) in values {
        for name in ["x-image-meta-name", "x-image-meta-property-k"] {
            let request = Request::post("/v1/images").header(name, value).body([]);
            assert_eq!(node.request(&request).status, 400, "{name}: {what}");
        }
    }
}

#[test]
fn invalid_json_of_members_is_rejected() {
    let mut node = Setup::new().start();
    let id = node.upload(&[], b"abc");
    let path = format!("/v1/images/{id}/members");
    let deep = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
    for (what, body) in [
        ("depth", deep.as_slice()),
        (
            "invalid UTF-8",
            b"{\"memberships\": [{\"member_id\": \"\xff\"}]}",
        ),
        ("no object", b"5"),
        ("cut short", b"{\"memberships\": ["),
        ("null", b"{\"memberships\": null}"),
    ] {
        let answer = node.ask("PUT", &path, "Content-Type: application/json", body);
        assert_eq!(answer.status, 400, "{what}");
    }
    let mut wire = node.connect();
    let json = || Request::put(&path).lines("Content-Type: application/json");
    wire.send_head(&json().announce(100 << 20)).expect("sent");
    assert_eq!(wire.read_response("PUT").expect("an answer").status, 413);
    let mut wire = node.connect();
    wire.send_head(&json().announce_chunks()).expect("sent");
    // The server may close before it has received everything; its response counts.
    let _ = wire.send_chunks(&vec![b' '; 8 << 20], || 64 * 1024);
    assert_eq!(wire.read_response("PUT").expect("an answer").status, 413);
    let members = node.ask("GET", &path, "", b"").json();
    assert_eq!(members["members"].as_array().map(Vec::len), Some(0));
    assert_alive(&mut node);
}
