//! Conformance of the Swift store.

use glance::config::SwiftManifest;
use glance::store::{SwiftOptions, conformance};

use super::{Look, by_keystone, by_v1, on_worker, options, store};
use crate::support::backends::Cloud;
use crate::support::backends::swift::Swift;

fn conforms(options: &SwiftOptions) {
    let store = store(options);
    on_worker(conformance::all(&store));
}

#[test]
fn with_v1_auth() {
    let swift = Swift::shared();
    let look = Look::by_v1(swift, &swift.account);
    for manifest in [SwiftManifest::Static, SwiftManifest::Dynamic] {
        let options = SwiftOptions {
            manifest,
            ..options(by_v1(&swift.auth_url, &swift.account))
        };
        conforms(&options);
        assert_eq!(look.names(&options.container), [""; 0], "{manifest:?}");
    }
}

#[test]
fn swift_store_conforms_with_keystone() {
    let cloud = Cloud::shared();
    let options = options(by_keystone(cloud, "alice"));
    conforms(&options);
    let look = Look::by_keystone(cloud, "alice");
    assert_eq!(look.names(&options.container), [""; 0]);
}

#[test]
fn swift_store_conforms_on_io_uring() {
    if glance::transfer::disk::probe_uring().is_err() {
        return;
    }
    let swift = Swift::shared();
    let options = options(by_v1(&swift.auth_url, &swift.account));
    let store = store(&options);
    tokio_uring::builder().start(conformance::all(&store));
    let look = Look::by_v1(swift, &swift.account);
    assert_eq!(look.names(&options.container), [""; 0]);
}
