//! A disk that is full: a small file system of our own. Needs root for the loop device.

use std::time::Duration;

use super::{assert_alive, assert_killed, assert_only, upload_with};
use crate::support::bytes::Chance;
use crate::support::disk::Disk;
use crate::support::http::{Request, Response};
use crate::support::server::{Server, Setup};
use crate::support::skip;

const DISK: u64 = 24 << 20;
const KEPT: usize = 2 << 20;
const TOO_LARGE: usize = 40 << 20;

fn upload_chunked(node: &Server, id: &str, body: &[u8]) -> Response {
    let headers = upload_with(&format!(
        "x-image-meta-id: {id}\r\nTransfer-Encoding: chunked"
    ));
    let mut wire = node.connect();
    wire.send_head(&Request::post("/v1/images").lines(&headers))
        .expect("sent");
    // The server may close before it has everything; its answer counts.
    let _ = wire.send_chunks(body, || 1 << 18);
    wire.read_response("POST").expect("an answer")
}

fn a_full_store(io_backend: &str, io: &str) {
    let disk = match Disk::new(DISK) {
        Ok(disk) => disk,
        Err(error) => return skip("a full store", &error),
    };
    let mut node = Setup::new()
        .store_dir(&disk.path().join("images"))
        .option("io_backend", io_backend)
        .store_option("filesystem_store_io", io)
        .start();
    let mut chance = Chance::new(14);
    let kept = chance.bytes(KEPT);
    let kept_id = node.upload(&[], &kept);
    let large = chance.bytes(TOO_LARGE);
    for round in 0..3 {
        let id = chance.uuid();
        let headers = upload_with(&format!("x-image-meta-id: {id}"));
        let answer = node.ask("POST", "/v1/images", &headers, &large);
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert_killed(&node, &id);
        let id = chance.uuid();
        let answer = upload_chunked(&node, &id, &large);
        assert_eq!(
            answer.status,
            413,
            "chunked, round {round}: {}",
            answer.text()
        );
        assert_killed(&node, &id);
        assert!(node.download(&kept_id).body == kept, "reads go on");
    }
    assert_only(&node, &[&kept_id]);
    // The room that the failures took is there again.
    let later = chance.bytes(12 << 20);
    let later_id = node.upload(&[], &later);
    assert!(node.download(&later_id).body == later);
    assert_only(&node, &[&kept_id, &later_id]);
    assert_alive(&mut node);
    node.stop();
    drop(disk);
}

#[test]
fn a_full_store_refuses_past_the_page_cache() {
    a_full_store("auto", "direct");
}

#[test]
fn a_full_store_refuses_through_the_page_cache() {
    a_full_store("threads", "buffered");
}

/// A registry that cannot write must not say that it did.
#[test]
fn a_full_registry_refuses_writes_and_goes_on_reading() {
    let disk = match Disk::new(DISK) {
        Ok(disk) => disk,
        Err(error) => return skip("a full registry", &error),
    };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6 << 20]).expect("room for ballast");
    let registry = disk.path().join("registry");
    let mut node = Setup::new()
        .option("registry_dir", registry.display())
        .start();
    let id = node.upload(&[], b"abc");
    let property = format!("x-image-meta-property-p: {}", "x".repeat(12_000));
    let mut wire = node.connect();
    // sled may hang rather than fail; the server gives such a flush up, but not at once.
    let limit = Some(Duration::from_secs(60));
    wire.stream().set_read_timeout(limit).expect("a limit");
    let mut acknowledged = Vec::new();
    let refusal = loop {
        let answer = wire
            .ask("POST", "/v1/images", &property, b"")
            .expect("an answer");
        if answer.status != 201 {
            break answer;
        }
        acknowledged.push(crate::support::v1::id_of(&answer));
        assert!(acknowledged.len() < 20_000, "the disk never gets full");
    };
    eprintln!(
        "a full registry: {} images acknowledged",
        acknowledged.len()
    );
    assert!(matches!(refusal.status, 413 | 503), "{}", refusal.text());
    assert_eq!(node.download(&id).body, b"abc", "reads go on");
    assert!(node.is_running());
    node.kill();
    // The operator makes room.
    std::fs::remove_file(&ballast).expect("removed");
    node.start();
    assert_eq!(node.download(&id).body, b"abc");
    for id in &acknowledged {
        assert_eq!(node.head(id).status, 200, "{id} was acknowledged");
    }
    node.kill();
    drop(disk);
}
