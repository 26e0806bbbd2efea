//! Locations in the formats of Glance's registries: which accounts they use, and which hosts never
//! receive credentials.

use std::net::TcpListener;
use std::time::Duration;

use glance::config::Secret;
use glance::error::{Error, Kind};
use glance::image::Location;
use glance::store::{Store, SwiftStore};

use super::{Look, by_keystone, by_v1, on_worker, options, put, read, store, whole};
use crate::support::backends::Cloud;
use crate::support::backends::swift::Swift;

fn at(uri: &str) -> Location {
    Location::parse(uri).expect("a URI")
}

/// Reads the three bytes and removes them.
async fn read_and_remove(store: &SwiftStore, uri: &str) {
    let location = at(uri);
    assert_eq!(store.size(&location).await.expect(uri), 3);
    assert_eq!(read(store, &location, 3).await, b"abc", "{uri}");
    store.delete(&location).await.expect(uri);
    let gone = store.size(&location).await.err().map(|error| error.kind());
    assert_eq!(gone, Some(Kind::NotFound), "{uri}");
}

async fn failure(store: &SwiftStore, uri: &str) -> Error {
    match store.open(&at(uri), whole(3)).await {
        Err(error) => error,
        Ok(_) => panic!("{uri} was opened"),
    }
}

#[test]
fn logins_by_v1_in_both_spellings() {
    let swift = Swift::shared();
    let options = options(by_v1(&swift.auth_url, &swift.account));
    let store = store(&options);
    let host = swift.url.strip_prefix("http://").unwrap();
    on_worker(async {
        for user in ["test%3Atester", "test:tester"] {
            let (image, _) = put(&store, b"abc", true).await;
            let login = format!("{user}:{}@{host}", swift.account.key);
            let container = &options.container;
            let uri = format!("swift+http://{login}/auth/v1.0/{container}/{image}");
            read_and_remove(&store, &uri).await;
        }
    });
}

/// An account that is not configured, at a configured host.
#[test]
fn login_of_another_account_at_the_same_host_works() {
    let swift = Swift::shared();
    let theirs = options(by_v1(&swift.auth_url, &swift.other));
    let store = store(&options(by_v1(&swift.auth_url, &swift.account)));
    let host = swift.url.strip_prefix("http://").unwrap();
    on_worker(async {
        let (image, _) = put(&super::store(&theirs), b"abc", true).await;
        let login = format!("other%3Atester:{}@{host}", swift.other.key);
        let uri = format!(
            "swift+http://{login}/auth/v1.0/{}/{image}",
            theirs.container
        );
        read_and_remove(&store, &uri).await;
    });
}

/// With the address of v3, and with that of v2.0, which Keystone no longer has.
#[test]
fn keystone_logins_work() {
    let cloud = Cloud::shared();
    let options = options(by_keystone(cloud, "alice"));
    let store = store(&options);
    let host = cloud.keystone.auth_url.strip_prefix("http://").unwrap();
    let host = host.strip_suffix("/v3").unwrap();
    let password = &cloud.keystone.user("adam").password;
    on_worker(async {
        for version in ["v3", "v2.0"] {
            let (image, _) = put(&store, b"abc", true).await;
            let login = format!("tenant-a%3Aadam:{password}@{host}");
            let container = &options.container;
            let uri = format!("swift+http://{login}/{version}/{container}/{image}");
            read_and_remove(&store, &uri).await;
        }
    });
}

#[test]
fn configured_references_work() {
    let swift = Swift::shared();
    let mut options = options(by_v1(&swift.auth_url, &swift.account));
    let mut second = by_v1(&swift.auth_url, &swift.other);
    second.reference = "second".to_owned();
    options.accounts.push(second);
    let store = store(&options);
    on_worker(async {
        let (image, location) = put(&store, b"abc", true).await;
        assert_eq!(location.scheme(), "swift+config");
        let container = &options.container;
        read_and_remove(&store, &format!("swift+config://ref1/{container}/{image}")).await;

        let other = super::store(&glance::store::SwiftOptions {
            default_reference: "second".to_owned(),
            ..options.clone()
        });
        let (image, _) = put(&other, b"abc", true).await;
        let uri = format!("swift+config://second/{container}/{image}");
        read_and_remove(&store, &uri).await;

        let error = failure(&store, "swift+config://third/c/o").await;
        assert!(matches!(error.kind(), Kind::Unavailable { .. }));
        assert!(
            error
                .cause()
                .unwrap()
                .contains("no configured account has its reference")
        );
    });
}

/// Another tenant's account without a login, as multi-tenant Glance wrote it. Swift decides what
/// the store's own account may read there.
#[test]
fn tenant_accounts_without_a_login_are_readable() {
    let cloud = Cloud::shared();
    let (alice, bob) = (
        Look::by_keystone(cloud, "alice"),
        Look::by_keystone(cloud, "bob"),
    );
    let store = store(&options(by_keystone(cloud, "alice")));
    let container = crate::support::unique("glance");
    bob.ask("PUT", &format!("/{container}")).expect(201);
    bob.put(&format!("/{container}/image"), b"abc");
    let uri = format!(
        "{}/{container}/image",
        bob.url.replace("http://", "swift+http://")
    );
    on_worker(async {
        let refused = failure(&store, &uri).await;
        assert!(refused.cause().unwrap().contains("403"), "{refused:?}");
        let public = [("X-Container-Read", "*:*"), ("X-Container-Write", "*:*")];
        bob.ask_with("POST", &format!("/{container}"), &public)
            .expect(204);
        read_and_remove(&store, &uri).await;
    });
    assert_ne!(alice.url, bob.url);
}

/// The configured account's token is sent only to its own Swift, and a host that only a location
/// names is not dialled at forbidden addresses.
#[test]
fn credentials_are_sent_to_no_other_host() {
    let swift = Swift::shared();
    let store = store(&options(by_v1(&swift.auth_url, &swift.account)));
    let tripwire = TcpListener::bind("127.0.0.1:0").expect("a port");
    tripwire.set_nonblocking(true).expect("a socket");
    let host = tripwire.local_addr().expect("an address");
    on_worker(async {
        for uri in [
            format!("swift+http://{host}/v1/TEMP_test/c/o"),
            format!("swift+http://user:CANARY@{host}/auth/v1.0/c/o"),
            format!("swift+http://a%3Ab:CANARY@{host}/v3/c/o"),
            format!("swift://user:CANARY@{host}/auth/v1.0/c/o"),
        ] {
            let error = failure(&store, &uri).await;
            let said = format!("{error} {error:?} {:?}", at(&uri));
            assert!(
                !said.contains("CANARY") && !said.contains("127.0.0.1"),
                "{said}"
            );
        }
    });
    std::thread::sleep(Duration::from_millis(100));
    assert!(tripwire.accept().is_err(), "somebody was there");
}

/// `swift://` and `swift+https://` mean TLS, also for a server without TLS.
#[test]
fn swift_scheme_means_https() {
    let swift = Swift::shared();
    let store = store(&options(by_v1(&swift.auth_url, &swift.account)));
    let host = swift.url.strip_prefix("http://").unwrap();
    let mut tls = options(by_v1(
        &swift.auth_url.replace("http:", "https:"),
        &swift.account,
    ));
    tls.accounts[0].key = Secret::new("CANARY");
    on_worker(async {
        let uri = format!("swift://u:CANARY@{host}/auth/v1.0/c/o");
        assert!(failure(&store, &uri).await.cause().is_some());
        for scheme in ["swift", "swift+https"] {
            let uri = format!("{scheme}://{}:CANARY@{host}/auth/v1.0/c/o", "test%3Atester");
            let error = failure(&super::store(&tls), &uri).await;
            let said = format!("{error:?}");
            assert!(said.contains("TLS handshake failed"), "{said}");
            assert!(!said.contains("CANARY"), "{said}");
        }
    });
}

#[test]
fn malformed_locations_are_not_repeated_in_errors() {
    let swift = Swift::shared();
    let store = store(&options(by_v1(&swift.auth_url, &swift.account)));
    on_worker(async {
        for uri in [
            "swift:CANARY",
            "swift://u:CANARY@/c/o",
            "swift://CANARY",
            "swift://account:CANARY/container/image.tar.gz.0",
        ] {
            let error = failure(&store, uri).await;
            assert!(
                !format!("{error} {error:?}").contains("CANARY"),
                "{error:?}"
            );
            assert!(store.delete(&at(uri)).await.is_err());
        }
    });
}
