//! Objects with other bytes than were uploaded are never served completely.

use super::backend::Backend;
use crate::support::eventually;
use crate::support::gate::Way;
use crate::support::http::Request;
use crate::support::origin::content::Content;
use crate::support::v1::{id_of, image_path};

/// Sizes of one object, and of several.
const SIZES: [u64; 2] = [300_000, (6 << 20) + 5];

/// Creates an image with these bytes, and returns its id.
fn image(backend: &Backend, size_bytes: u64) -> (String, Vec<u8>) {
    let content = Content::new(size_bytes, size_bytes);
    let data = content.all();
    if backend.takes_data() {
        return (backend.node.upload(&[], &data), data);
    }
    let sum = content.md5_hex();
    let located = backend.locate(content, &[("x-image-meta-checksum", &sum)]);
    (id_of(&located.expect(201)), data)
}

/// Reads a download until its connection ends, and asserts that it is incomplete.
#[track_caller]
fn assert_cut_before_the_end(backend: &Backend, id: &str, size_bytes: u64) {
    let mut connection = backend.node.connect();
    connection
        .send(&Request::get(&image_path(id)))
        .expect("sent");
    let head = connection.read_head().expect("a head");
    assert_eq!(head.status, 200, "{}", backend.name);
    let length = head.header("content-length").map(str::to_owned);
    assert_eq!(length, Some(size_bytes.to_string()), "{}", backend.name);
    let got = connection.until_closed(crate::support::PATIENCE);
    let got = got.map_or(0, |bytes| bytes.len() as u64);
    assert!(got < size_bytes, "{}: {got} of {size_bytes}", backend.name);
}

#[track_caller]
fn assert_failures_counted(backend: &Backend, count: usize) {
    let line = format!("\nglance_integrity_failures_total {count}\n");
    eventually("they are counted and in the log", || {
        let is_counted = backend.node.metrics().contains(&line);
        let told = backend
            .node
            .log()
            .matches("the MD5 of the store's object differs")
            .count();
        (is_counted && told == count).then_some(())
    });
}

#[test]
fn objects_with_a_changed_byte_are_cut_before_their_end() {
    for backend in [Backend::http(), Backend::s3(), Backend::swift("dlo")] {
        for size_bytes in SIZES {
            let (id, data) = image(&backend, size_bytes);
            assert!(backend.node.download(&id).expect(200).body == data);
            backend.tamper(&id, &data);
            assert_cut_before_the_end(&backend, &id, size_bytes);
        }
        assert_failures_counted(&backend, SIZES.len());
    }
}

/// The object is correct, and its bytes change in transit.
#[test]
fn bytes_changed_in_transit_fail_the_download() {
    for backend in [
        Backend::s3_behind_a_gate(),
        Backend::swift_behind_a_gate("slo"),
    ] {
        let (id, data) = image(&backend, SIZES[1]);
        for after in [200_000, 3 << 20, SIZES[1] - 1_000] {
            backend.gate().flip(Way::Down, after);
            assert_cut_before_the_end(&backend, &id, SIZES[1]);
            assert!(!backend.gate().is_flip_pending(Way::Down));
        }
        assert_failures_counted(&backend, 3);
        assert!(backend.node.download(&id).expect(200).body == data);
    }
}
