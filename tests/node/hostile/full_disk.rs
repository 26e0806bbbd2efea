//! A full disk: a small file system on a loop device, which needs root.

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
    // The server may close before it has received everything; its response counts.
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
    // The space of the failed uploads is free again.
    let later = chance.bytes(12 << 20);
    let later_id = node.upload(&[], &later);
    assert!(node.download(&later_id).body == later);
    assert_only(&node, &[&kept_id, &later_id]);
    assert_alive(&mut node);
    node.stop();
    drop(disk);
}

#[test]
fn full_store_rejects_uploads_with_direct_io() {
    a_full_store("auto", "direct");
}

#[test]
fn full_store_rejects_uploads_through_page_cache() {
    a_full_store("threads", "buffered");
}

/// Registers images until one is rejected because the disk is full. Returns the accepted ones.
fn register_until_refused(node: &Server) -> Vec<String> {
    let property = format!("x-image-meta-property-p: {}", "x".repeat(12_000));
    let mut wire = node.connect();
    let mut acknowledged = Vec::new();
    loop {
        let answer = wire.ask("POST", "/v1/images", &property, b"");
        let answer = answer.expect("an answer");
        if answer.status != 201 {
            assert!(matches!(answer.status, 413 | 503), "{}", answer.text());
            return acknowledged;
        }
        acknowledged.push(crate::support::v1::id_of(&answer));
        assert!(acknowledged.len() < 20_000, "the disk never gets full");
    }
}

/// A registry that cannot write must not acknowledge a change, and recovers when there is space.
#[test]
fn full_registry_rejects_writes_and_recovers() {
    let disk = match Disk::new(DISK) {
        Ok(disk) => disk,
        Err(error) => return skip("a full registry", &error),
    };
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![0; 6 << 20]).expect("room for ballast");
    let registry = disk.path().join("registry");
    let mut node = Setup::new()
        .option("registry_dir", registry.display())
        // Slowness of the disk is not tested here.
        .option("registry_flush_timeout", 300)
        .start();
    let id = node.upload(&[], b"abc");
    let acknowledged = register_until_refused(&node);
    assert_eq!(node.download(&id).body, b"abc", "reads go on");
    // Deletions work without an operator.
    for id in &acknowledged[..10] {
        assert_eq!(node.remove(id).status, 200, "{id}");
    }
    // With free space, no restart is needed.
    std::fs::remove_file(&ballast).expect("removed");
    assert!(!register_until_refused(&node).is_empty());
    assert!(node.is_running());
    node.kill();
    node.start();
    assert_eq!(node.download(&id).body, b"abc");
    for id in &acknowledged[..10] {
        assert_eq!(node.head(id).image_status(), Some("deleted"), "{id}");
    }
    for id in &acknowledged[10..] {
        let kept = node.head(id);
        assert_eq!(kept.image_status(), Some("queued"), "{id} was acknowledged");
    }
    node.kill();
    drop(disk);
}

/// Fills a disk to the last block.
fn fill(disk: &Disk) {
    for (name, piece) in [("ballast-1", 1 << 16), ("ballast-2", 1 << 10)] {
        let file = std::fs::File::create(disk.path().join(name));
        let Ok(mut file) = file else { return };
        while std::io::Write::write_all(&mut file, &vec![0; piece]).is_ok() {}
    }
}

/// Records, images and log are on one disk, which uploads fill.
#[test]
fn deletions_free_a_disk_filled_by_uploads() {
    let disk = match Disk::new(64 << 20) {
        Ok(disk) => disk,
        Err(error) => return skip("a disk full of uploads", &error),
    };
    let data = disk.path().join("data");
    let mut node = Setup::new().data_dir(&data).start();
    let mut chance = Chance::new(21);
    let mut images = Vec::new();
    for size_bytes in [8 << 20, 1 << 20, 64 << 10, 4 << 10] {
        loop {
            let body = chance.bytes(size_bytes);
            let answer = node.ask("POST", "/v1/images", &upload_with("x-a: b"), &body);
            if answer.status != 201 {
                assert!(matches!(answer.status, 413 | 503), "{}", answer.text());
                break;
            }
            images.push((crate::support::v1::id_of(&answer), body));
            assert!(images.len() < 20_000, "the disk never gets full");
        }
    }
    register_until_refused(&node);
    let check_all = |node: &Server, images: &[(String, Vec<u8>)]| {
        for (id, body) in images {
            assert!(node.download(id).body == *body, "{id}");
        }
    };
    check_all(&node, &images);

    // The server starts on the full disk, where it cannot write its log.
    node.kill();
    fill(&disk);
    node.set_up(|setup| setup.output_to(&data.join("output")));
    node.start();
    check_all(&node, &images);
    let refused = node.ask(
        "POST",
        "/v1/images",
        &upload_with("x-a: b"),
        &chance.bytes(1 << 20),
    );
    assert!(matches!(refused.status, 413 | 503), "{}", refused.text());
    let (gone, left) = images.split_at(images.len() / 2);
    for (id, _) in gone {
        assert_eq!(node.remove(id).status, 200, "{id}");
        node.await_nothing_stored(id);
    }
    check_all(&node, left);
    // The deletions have freed space.
    let later = chance.bytes(4 << 20);
    let later_id = node.upload(&[], &later);
    assert!(node.download(&later_id).body == later);
    node.kill();
    node.start();
    assert!(node.download(&later_id).body == later);
    check_all(&node, left);
    assert_alive(&mut node);
    node.stop();
    drop(disk);
}

/// The exit code reports an error that cannot be printed.
#[test]
fn invalid_configuration_sets_exit_code_without_output() {
    let full = std::path::Path::new("/dev/full");
    let mut node = Setup::new()
        .option("image_size_cap", "nonsense")
        .output_to(full)
        .prepare();
    node.spawn();
    let status = node.wait(Duration::from_secs(60));
    assert_eq!(status.code(), Some(78));
}
