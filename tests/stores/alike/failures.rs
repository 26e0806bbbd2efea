//! Backends that are unreachable, silent, cut or wrong during an upload: the client receives a
//! clear error, the image is killed, and nothing is left.

use std::collections::BTreeSet;
use std::thread;

use super::backend::{Backend, Holding};
use crate::support::eventually;
use crate::support::gate::{Gate, Mode, Way};
use crate::support::http::Request;
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::v1::{OCTETS, RAW, image_path, post, put_data};

/// Size of an image with several parts and segments.
const SIZE_BYTES: u64 = (11 << 20) + 5;

/// The failure of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Away,
    Silent,
    /// In the middle of the upload, and at every later connection.
    Cut,
    /// One byte is changed.
    Flipped,
}

const FAILURES: [Failure; 4] = [
    Failure::Away,
    Failure::Silent,
    Failure::Cut,
    Failure::Flipped,
];

/// How the data reach the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Known,
    Chunked,
    Copied,
}

#[test]
fn s3_that_fails_kills_the_image_and_leaves_nothing() {
    fails(&Backend::s3_behind_a_gate());
}

#[test]
fn failing_swift_kills_the_image_and_leaves_nothing() {
    fails(&Backend::swift_behind_a_gate("slo"));
}

fn fails(backend: &Backend) {
    let content = Content::new(9, SIZE_BYTES);
    let data = content.all();
    let origin = Origin::honest(content);
    for failure in FAILURES {
        for manner in [Manner::Known, Manner::Chunked, Manner::Copied] {
            // Creates the bucket, the container and the login.
            let first = backend.node.upload(&[], b"first");
            let gate = backend.gate();
            begin(gate, failure);
            let (id, status) = thread::scope(|scope| {
                let later = scope.spawn(|| goes_on(gate, failure));
                let put = put(backend, manner, &data, &origin);
                later.join().expect("a thread");
                put
            });
            gate.set(Mode::Open);
            gate.cut(Way::Up, u64::MAX);
            let what = format!("{} {failure:?} {manner:?}", backend.name);
            assert_told(backend, &id, status, &data, &what);
            backend.node.remove(&first).expect(200);
            backend.await_holding(&Holding::new(), &BTreeSet::new());
        }
    }
}

/// Starts failures that exist from the beginning.
fn begin(gate: &Gate, failure: Failure) {
    match failure {
        Failure::Away => gate.set(Mode::Closed),
        Failure::Silent => {}
        Failure::Cut => gate.cut(Way::Up, 2 << 20),
        Failure::Flipped => gate.flip(Way::Up, 2 << 20),
    }
}

/// Starts failures that occur after some data were sent.
fn goes_on(gate: &Gate, failure: Failure) {
    let from = gate.passed_bytes(Way::Up);
    match failure {
        Failure::Silent => {
            eventually("data are sent", || {
                (gate.passed_bytes(Way::Up) > from + (2 << 20)).then_some(())
            });
            gate.set(Mode::Silent);
        }
        Failure::Cut => {
            eventually("the cut", || (!gate.is_cut_pending(Way::Up)).then_some(()));
            gate.set(Mode::Closed);
        }
        Failure::Away | Failure::Flipped => {}
    }
}

/// Uploads an image. Returns its id, and the status of the response if the request carried the
/// data.
fn put(backend: &Backend, manner: Manner, data: &[u8], origin: &Origin) -> (String, Option<u16>) {
    let node = &backend.node;
    if manner == Manner::Copied {
        let id = uuid::Uuid::new_v4().to_string();
        let request = post(RAW).header("x-image-meta-id", &id);
        let request = request.header("x-glance-api-copy-from", origin.url("/image"));
        node.request(&request).expect(201);
        eventually("the copy ends", || {
            let status = node.status_of(&id);
            (status != "queued" && status != "saving").then_some(())
        });
        return (id, None);
    }
    let id = node.reserve();
    let request = match manner {
        Manner::Chunked => {
            let request = Request::put(&image_path(&id)).headers(&[OCTETS]);
            request.chunked(data.chunks(70_001))
        }
        _ => put_data(&id, &[], data),
    };
    let status = node.request(&request).status;
    (id, Some(status))
}

/// Asserts that the image is killed and the client received an error; or, after a successful retry,
/// that the image is correct. It is deleted then.
#[track_caller]
fn assert_told(backend: &Backend, id: &str, status: Option<u16>, data: &[u8], what: &str) {
    let node = &backend.node;
    if node.status_of(id) == "active" {
        assert!(what.contains("Flipped"), "{what}");
        assert!(matches!(status, None | Some(200)), "{what}: {status:?}");
        assert!(node.download(id).expect(200).body == data, "{what}");
        node.remove(id).expect(200);
        return;
    }
    assert_eq!(node.status_of(id), "killed", "{what}");
    assert!(matches!(status, None | Some(503)), "{what}: {status:?}");
    node.download(id).expect(404);
}
