//! Images whose stored data were damaged: the auditor finds and marks them.

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use crate::support::server::{Server, Setup};
use crate::support::within;

/// Longest wait for a pass of the auditor.
const NOTICED: Duration = Duration::from_secs(60);

/// Flips a bit of the file and restores its modification time.
fn flip(path: &Path) {
    let modified = fs::metadata(path)
        .and_then(|file| file.modified())
        .expect("a time");
    let mut bytes = fs::read(path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("the file");
    let file = File::options().write(true).open(path).expect("the file");
    file.set_modified(modified).expect("a time");
}

fn damaged(server: &Server) -> bool {
    server.metrics().contains("glance_damaged_images 2\n")
}

#[test]
fn damaged_data_are_not_served_until_repaired() {
    let mut server = Setup::new()
        .option("verify_interval", 1)
        .option("verbose", true)
        .start();
    let large_data = vec![7; 300_000];
    let large = server.upload(&[], &large_data);
    let small = server.upload(&[], b"small");
    let kept = server.upload(&[], b"kept");
    let ids = [&large, &small];
    for id in ids {
        flip(&server.store_dir().join(id));
    }
    for id in ids {
        within(NOTICED, "it is not served", || {
            server.download(id).status == 500
        });
        server.expect_log("do not match the checksum");
        server.head(id).expect(200);
    }
    within(NOTICED, "the metric says so", || damaged(&server));
    assert_eq!(server.download(&kept).expect(200).body, b"kept");
    // The next process knows it from the record, before its first pass.
    server.restart();
    for id in ids {
        server.download(id).expect(500);
    }
    // The auditor notices the repaired file.
    for id in ids {
        flip(&server.store_dir().join(id));
    }
    within(NOTICED, "both are served again", || {
        ids.iter().all(|id| server.download(id).status == 200)
    });
    assert_eq!(server.download(&large).expect(200).body, large_data);
    server.expect_log("match the checksum again");
    within(NOTICED, "the metric says so", || {
        server.metrics().contains("glance_damaged_images 0\n")
    });
}

#[test]
fn auditor_reads_nothing_when_disabled() {
    let server = Setup::new().option("verify_interval", 0).start();
    let id = server.upload(&[], b"data");
    flip(&server.store_dir().join(&id));
    std::thread::sleep(Duration::from_secs(2));
    server.download(&id).expect(200);
    assert!(!server.metrics().contains("glance_verified_bytes_total "));
}
