//! Uploads whose data contradict their headers.

use super::{assert_alive, assert_killed, assert_only, upload_with};
use crate::support::bytes::{Chance, md5_hex};
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::v1::UPLOAD;
use crate::support::{PATIENCE, within};

const CHUNKED: &str = "Transfer-Encoding: chunked";

/// Returns the headers of an upload with a given identifier.
fn upload_as(id: &str, more: &str) -> String {
    upload_with(&format!("x-image-meta-id: {id}\r\n{more}"))
}

/// Uploads in chunks. The server may close before it has received everything.
fn upload_chunked(node: &Server, headers: &str, body: &[u8]) -> Response {
    let mut wire = node.connect();
    wire.send_head(&Request::post("/v1/images").lines(headers))
        .expect("sent");
    let _ = wire.send_chunks(body, || 10_000);
    wire.read_response("POST").expect("an answer")
}

#[test]
fn uploads_with_wrong_size_or_checksum_are_rejected() {
    let mut node = Setup::new().start();
    let mut chance = Chance::new(1);
    let body = chance.bytes(300_000);
    let right = md5_hex(&body);
    for stated in [
        "x-image-meta-size: 300001",
        "x-image-meta-size: 299999",
        "x-image-meta-size: 1",
        "x-image-meta-checksum: 00000000000000000000000000000000",
        &format!("x-image-meta-checksum: {}", right.to_ascii_uppercase()),
        "x-image-meta-checksum: short",
    ] {
        let id = chance.uuid();
        let answer = node.ask("POST", "/v1/images", &upload_as(&id, stated), &body);
        assert_eq!(answer.status, 400, "{stated}");
        assert_killed(&node, &id);
        assert_eq!(node.download(&id).status, 404, "{stated}");
        let id = chance.uuid();
        let headers = upload_as(&id, &format!("{stated}\r\n{CHUNKED}"));
        let answer = upload_chunked(&node, &headers, &body);
        assert_eq!(answer.status, 400, "{stated}, chunked");
        assert_killed(&node, &id);
    }
    assert_only(&node, &[]);
    let id = chance.uuid();
    let stated = format!("x-image-meta-size: 300000\r\nx-image-meta-checksum: {right}");
    let answer = node.ask("POST", "/v1/images", &upload_as(&id, &stated), &body);
    assert_eq!(answer.status, 201);
    assert_only(&node, &[&id]);
    assert_alive(&mut node);
}

#[test]
fn aborted_bodies_leave_no_data() {
    let node = Setup::new().start();
    let mut chance = Chance::new(2);
    let body = chance.bytes(700_000);
    for (framing, chunked) in [("Content-Length: 1000000", false), (CHUNKED, true)] {
        let id = chance.uuid();
        let mut wire = node.connect();
        let headers = upload_as(&id, framing);
        wire.send_head(&Request::post("/v1/images").lines(&headers))
            .expect("sent");
        if chunked {
            wire.send_bytes(b"fffff\r\n").expect("sent");
        }
        wire.send_bytes(&body).expect("sent");
        wire.finish_sending().expect("half closed");
        wire.until_closed(PATIENCE).expect("closed");
        assert_killed(&node, &id);
        // And by a client that disconnects.
        let id = chance.uuid();
        let mut wire = node.connect();
        let headers = upload_as(&id, framing);
        wire.send_head(&Request::post("/v1/images").lines(&headers))
            .expect("sent");
        if chunked {
            wire.send_bytes(b"fffff\r\n").expect("sent");
        }
        wire.send_bytes(&body).expect("sent");
        drop(wire);
        assert_killed(&node, &id);
    }
    assert_only(&node, &[]);
}

/// The end of a connection is never taken for the end of a body.
#[test]
fn reset_connections_activate_no_image() {
    let node = Setup::new().start();
    let mut chance = Chance::new(3);
    let mut ids = Vec::new();
    for framing in [CHUNKED, "Content-Length: 10"] {
        for expect in ["", "\r\nExpect: 100-continue"] {
            for begun in ["", "begun"] {
                for delay_us in [0, 200, 1_000, 5_000] {
                    let id = chance.uuid();
                    let headers = upload_as(&id, &format!("{framing}{expect}"));
                    let mut wire = node.connect();
                    let request = Request::post("/v1/images").lines(&headers);
                    wire.send_head(&request).expect("sent");
                    if framing == CHUNKED && !begun.is_empty() {
                        wire.send_bytes(b"5\r\nbegun\r\n").expect("sent");
                    } else {
                        wire.send_bytes(begun.as_bytes()).expect("sent");
                    }
                    std::thread::sleep(std::time::Duration::from_micros(delay_us));
                    let reset = Some(std::time::Duration::ZERO);
                    let socket = socket2::SockRef::from(wire.stream());
                    socket.set_linger(reset).expect("lingers not");
                    drop(wire);
                    ids.push(id);
                }
            }
        }
    }
    for id in &ids {
        within(PATIENCE, "it is killed, or never came", || {
            let answer = node.head(id);
            answer.status == 404 || answer.image_status() == Some("killed")
        });
    }
    assert_only(&node, &[]);
}

#[test]
fn size_cap_applies_to_every_framing() {
    let cap = 200_000;
    let mut node = Setup::new().option("image_size_cap", cap).start();
    let mut chance = Chance::new(3);
    let over = chance.bytes(cap + 1);
    let answer = node.ask("POST", "/v1/images", UPLOAD, &over);
    assert_eq!(answer.status, 413);
    let id = chance.uuid();
    let answer = upload_chunked(&node, &upload_as(&id, CHUNKED), &over);
    assert_eq!(answer.status, 413);
    assert_killed(&node, &id);
    // A small stated size with a large body: the received bytes count.
    let id = chance.uuid();
    let headers = upload_as(&id, &format!("x-image-meta-size: 5\r\n{CHUNKED}"));
    let answer = upload_chunked(&node, &headers, &chance.bytes(cap * 4));
    assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
    assert_killed(&node, &id);
    assert_only(&node, &[]);
    let exact = node.upload(&[], &over[..cap]);
    assert_only(&node, &[&exact]);
    assert_alive(&mut node);
}

/// A client that waits for `100 Continue` is rejected before it sends the body.
#[test]
fn too_large_body_gets_no_100_continue() {
    let node = Setup::new().option("image_size_cap", 1000).start();
    let mut wire = node.connect();
    let headers = upload_with("Expect: 100-continue");
    let request = Request::post("/v1/images").lines(&headers);
    wire.send_head(&request.announce(1 << 40)).expect("sent");
    let answer = wire.read_head().expect("an answer");
    assert_eq!(answer.status, 413);
}

/// The content of an image is never parsed.
#[test]
fn image_formats_are_not_parsed() {
    let node = Setup::new().start();
    let mut backing = b"QFI\xfb\0\0\0\x03\0\0\0\0\0\0\x01\0\0\0\0\x0b".to_vec();
    backing.extend_from_slice(&[0, 0, 0, 16]);
    // A virtual size of 1 PiB.
    backing.extend_from_slice(&(1_u64 << 50).to_be_bytes());
    backing.resize(256, 0);
    backing.extend_from_slice(b"/etc/shadow");
    let descriptor = b"# Disk DescriptorFile\nversion=1\nRW 2048 FLAT \"/etc/shadow\" 0\n";
    let headers =
        |format: &str| UPLOAD.replace("disk_format: raw", &format!("disk_format: {format}"));
    for (format, body) in [("qcow2", backing.as_slice()), ("vmdk", descriptor)] {
        let answer = node.ask("POST", "/v1/images", &headers(format), body);
        assert_eq!(answer.status, 201, "{format}");
        let image = answer.json();
        assert_eq!(image["image"]["size"], body.len(), "{format}");
        assert!(image["image"]["virtual_size"].is_null(), "{format}");
        let id = image["image"]["id"].as_str().expect("an id");
        assert_eq!(node.download(id).body, body, "{format}");
    }
}

/// A Range with many parts returns one part at most.
#[test]
fn range_with_many_parts_returns_one_part() {
    let node = Setup::new().start();
    let body = Chance::new(4).bytes(100_000);
    let id = node.upload(&[], &body);
    let many: Vec<String> = (0..1500).map(|n| format!("{n}-{n}")).collect();
    let many = format!("bytes={}", many.join(","));
    for (range, allowed) in [
        (many.as_str(), &[200, 206, 416][..]),
        ("bytes=0-,0-,0-,0-", &[200, 206, 416]),
        ("bytes=-0", &[200, 416]),
        ("bytes=5-2", &[200, 416]),
        ("bytes=18446744073709551616-", &[200, 416]),
        ("bytes=0-18446744073709551616", &[200, 206]),
        ("bytes=-18446744073709551616", &[200, 206]),
        ("bytes=100000-", &[416]),
        ("bytes=99999-", &[206]),
        ("bytes=+1-2", &[200, 416]),
        ("lines=1-2", &[200]),
        ("bytes", &[200]),
    ] {
        let path = format!("/v1/images/{id}");
        let answer = node.ask("GET", &path, &format!("Range: {range}"), b"");
        assert!(
            allowed.contains(&answer.status),
            "{range}: {}",
            answer.status
        );
        assert!(answer.body.len() <= body.len(), "{range}");
        if answer.status == 200 {
            assert!(answer.body == body, "{range}");
        }
    }
    let answer = node.ask(
        "GET",
        &format!("/v1/images/{id}"),
        "Range: bytes=-18446744073709551616",
        b"",
    );
    assert_eq!(answer.body.len(), body.len());
}
