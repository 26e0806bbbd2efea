//! Backends that are away, silent, cut off or wrong while data go there: a clear answer, a
//! killed image, and nothing left.

use std::collections::BTreeSet;
use std::thread;

use super::backend::{Backend, Holding};
use crate::support::eventually;
use crate::support::gate::{Gate, Mode, Way};
use crate::support::http::Request;
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::v1::{OCTETS, RAW, image_path, post, put_data};

/// Several parts and segments.
const SIZE_BYTES: u64 = (11 << 20) + 5;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Away,
    Silent,
    /// In the middle, and whenever somebody comes again.
    Cut,
    /// One byte is another.
    Flipped,
}

const FAILURES: [Failure; 4] = [
    Failure::Away,
    Failure::Silent,
    Failure::Cut,
    Failure::Flipped,
];

/// How the data come.
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
            // The bucket, the container and the login are there.
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

/// What is wrong from the beginning.
fn begin(gate: &Gate, failure: Failure) {
    match failure {
        Failure::Away => gate.set(Mode::Closed),
        Failure::Silent => {}
        Failure::Cut => gate.cut(Way::Up, 2 << 20),
        Failure::Flipped => gate.flip(Way::Up, 2 << 20),
    }
}

/// What comes to be wrong when a part of the data has gone.
fn goes_on(gate: &Gate, failure: Failure) {
    let from = gate.passed_bytes(Way::Up);
    match failure {
        Failure::Silent => {
            eventually("data go", || {
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

/// Gives the node an image; its id, and the status of the answer if the data came with the
/// request.
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

/// The image is killed and the client told so; or all of it is right, because the backend
/// was asked again. It is deleted then.
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
