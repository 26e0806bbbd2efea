//! Systems that refuse io_uring: container engines by seccomp, and some distributions by a sysctl.
//! `io_backend = auto` must fall back to threads and log it; `uring` must fail the start.

use std::time::Duration;

use crate::support::bytes::{Chance, md5_hex};
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::v1::{UPLOAD, id_of};

/// Returns true if the metrics name this engine.
fn runs(node: &Server, kind: &str) -> bool {
    let line = format!("glance_io_backend{{kind=\"{kind}\"}} 1");
    node.metrics().lines().any(|known| known == line)
}

/// Uploads and downloads images with sizes around block borders, in both upload forms.
fn assert_serves(node: &Server) {
    let mut chance = Chance::new(20);
    for size in [0, 1, 4095, 262_144, 262_145, 5_000_000] {
        let body = chance.bytes(size);
        let reserved = "x-image-meta-disk_format: raw\r\nx-image-meta-container_format: bare";
        let id = id_of(&node.ask("POST", "/v1/images", reserved, b""));
        let mut wire = node.connect();
        let headers = format!("{UPLOAD}\r\nTransfer-Encoding: chunked");
        let path = format!("/v1/images/{id}");
        let request = Request::put(&path).lines(&headers);
        wire.send_head(&request).expect("sent");
        wire.send_chunks(&body, || 100_000).expect("sent");
        let answer = wire.read_response("PUT").expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["image"]["checksum"], md5_hex(&body));
        let answer = node.download(&id);
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{size} bytes came back changed");
    }
    let body = chance.bytes(3_000_000);
    let id = node.upload(&[], &body);
    assert!(node.download(&id).body == body);
}

#[test]
fn auto_falls_back_to_threads_and_logs_it() {
    for io in ["direct", "buffered"] {
        let setup = Setup::new().refuse_uring();
        let node = setup.store_option("filesystem_store_io", io).start();
        assert_serves(&node);
        assert!(runs(&node, "threads"), "{}", node.metrics());
        assert!(!runs(&node, "uring"));
        node.expect_log("refuses io_uring");
        node.expect_log("engine=threads");
    }
}

#[test]
fn required_uring_fails_start_when_refused() {
    let mut node = Setup::new()
        .refuse_uring()
        .option("io_backend", "uring")
        .prepare();
    node.spawn();
    let status = node.wait(Duration::from_secs(10));
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    let said = node.log();
    let line = said
        .lines()
        .find(|line| line.contains("io_backend = uring"));
    let line = line.unwrap_or_else(|| panic!("no word about io_backend: {said}"));
    assert!(line.contains("threads"), "says what to do: {line}");
    assert!(!said.contains("panicked"), "{said}");
}

/// If the kernel allows io_uring, `auto` uses it. Without this check, the other tests could all
/// run on threads unnoticed.
#[test]
fn auto_uses_uring_when_allowed() {
    let node = Setup::new().start();
    assert_serves(&node);
    let allowed = !node.log().contains("refuses io_uring");
    if std::env::var_os("GLANCE_TEST_URING_REFUSED").is_some() {
        assert!(!allowed, "tests/refuse_uring.py does not refuse it");
    } else if !allowed {
        crate::support::skip("io_uring", "this system refuses it");
    }
    assert!(
        runs(&node, if allowed { "uring" } else { "threads" }),
        "{}",
        node.metrics()
    );
}
