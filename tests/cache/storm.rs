//! A thousand machines boot one image, and the origin sends it once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::node::{MIB, answers, caching, fills, locate, with_cache};
use super::reader::read_image;
use crate::support::backends::address_of;
use crate::support::backends::swift::Swift;
use crate::support::gate::{Gate, Way};
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::server::{Server, Setup};
use crate::support::v1::{id_of, post_data};
use crate::support::{pattern, unique};

const READERS: usize = 1000;
/// A size of four ranges and an odd rest.
const SIZE_BYTES: u64 = 4 * MIB + 4_321;
/// Bytes for the heads of requests and responses, and for listings of accounts and containers.
const HEADS_BYTES: u64 = 64 * 1024;

/// Starts all readers at once, and returns how many received the whole image.
fn storm(address: SocketAddr, id: &str, expected: &Arc<Vec<u8>>) -> usize {
    let good = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..READERS)
        .map(|_| {
            let (id, expected, good) = (id.to_owned(), Arc::clone(expected), Arc::clone(&good));
            let reader = thread::Builder::new().stack_size(128 * 1024);
            let read = move || {
                let got = read_image(address, &id, &expected);
                good.fetch_add(usize::from(got.is_good()), Ordering::Relaxed);
            };
            reader.spawn(read).expect("a thread")
        })
        .collect();
    for reader in readers {
        reader.join().expect("a reader");
    }
    good.load(Ordering::Relaxed)
}

#[track_caller]
fn assert_all_served(node: &Server) {
    assert_eq!(fills(node, "kept"), 1);
    assert_eq!(answers(node, "miss"), 1);
    let others = answers(node, "coalesced") + answers(node, "hit");
    assert_eq!(others, READERS as u64 - 1);
    assert_eq!(answers(node, "bypass"), 0);
}

#[test]
fn web_server_sends_every_byte_once() {
    let origin = Origin::honest(Content::new(71, SIZE_BYTES));
    let node = caching().start();
    let id = locate(&node, &origin);
    let expected = Arc::new(origin.content.all());
    assert_eq!(storm(node.address(), &id, &expected), READERS);
    assert_eq!(origin.times_sent(), (1, 1));
    assert_all_served(&node);
    // A cached image needs no origin.
    drop(origin);
    assert!(read_image(node.address(), &id, &expected).is_good());
}

/// Runs the same storm with an image in a store behind a gate.
fn behind_a_gate(setup: Setup, gate: &Gate) {
    let node = with_cache(setup).start();
    let data = Arc::new(pattern(SIZE_BYTES as usize, 72));
    let id = id_of(&node.request(&post_data(&[], &data)).expect(201));
    let before = gate.passed_bytes(Way::Down);
    assert_eq!(storm(node.address(), &id, &data), READERS);
    let passed = gate.passed_bytes(Way::Down) - before;
    assert!(
        (SIZE_BYTES..SIZE_BYTES + HEADS_BYTES).contains(&passed),
        "{passed}"
    );
    assert_all_served(&node);
}

#[test]
fn swift_sends_every_byte_once() {
    let swift = Swift::shared();
    let gate = Gate::before(address_of(&swift.url));
    let auth_url = gate.url(&swift.auth_url);
    let container = unique("cached");
    let setup = [
        ("stores", "swift"),
        ("default_store", "swift"),
        ("swift_store_container", &*container),
        ("swift_store_create_container_on_put", "True"),
        ("swift_store_auth_version", "1"),
        ("swift_store_auth_address", &auth_url),
        ("swift_store_user", &swift.account.user),
        ("swift_store_key", &swift.account.key),
    ];
    behind_a_gate(in_store(&setup), &gate);
}

#[test]
fn s3_sends_every_byte_once() {
    let swift = Swift::shared();
    let gate = Gate::before(address_of(&swift.url));
    let url = gate.url(&swift.url);
    let bucket = unique("cached");
    let setup = [
        ("stores", "s3"),
        ("default_store", "s3"),
        ("s3_store_host", &*url),
        ("s3_store_region_name", &swift.s3_region),
        ("s3_store_access_key", &swift.account.user),
        ("s3_store_secret_key", &swift.account.key),
        ("s3_store_bucket", &bucket),
        ("s3_store_create_bucket_on_put", "True"),
    ];
    behind_a_gate(in_store(&setup), &gate);
}

fn in_store(options: &[(&str, &str)]) -> Setup {
    let set = |setup: Setup, (name, value): &(&str, &str)| setup.store_option(name, value);
    options.iter().fold(Setup::new(), set)
}
