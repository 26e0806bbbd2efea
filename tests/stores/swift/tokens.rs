//! Tokens that are refused, revoked, expired, or requested concurrently.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use glance::config::{Secret, SwiftAccount};
use glance::error::Kind;
use glance::store::{Store, SwiftOptions};

use super::{MIB, an_upload, by_keystone, by_v1, on_worker, options, put, read, store, write};
use crate::support::backends::keystone::{Keystone, Options};
use crate::support::backends::swift::Swift;
use crate::support::backends::{Cloud, address_of};
use crate::support::gate::{Gate, Mode};
use crate::support::http::{Connection, Request};
use crate::support::pattern;

#[test]
fn wrong_key_fails_without_leaking() {
    let cloud = Cloud::shared();
    let v1 = by_v1(&cloud.swift.auth_url, &cloud.swift.account);
    for account in [v1, by_keystone(cloud, "alice")] {
        let account = SwiftAccount {
            key: Secret::new("CANARY"),
            ..account
        };
        let store = store(&options(account));
        on_worker(async {
            let (image, upload) = an_upload();
            let Err(error) = store.create(&image, &upload, Some(1)).await else {
                panic!("a wrong key was taken");
            };
            assert!(matches!(error.kind(), Kind::Unavailable { .. }));
            let said = format!("{error} {error:?}");
            assert!(said.contains("refuses the user"), "{said}");
            assert!(!said.contains("CANARY"), "{said}");
        });
    }
}

/// Every kind of request continues with a new token when its own was revoked; an upload does at its
/// next segment.
#[test]
fn revoked_token_is_replaced() {
    let cloud = own_cloud(3600);
    for account in [
        by_v1(&cloud.swift.auth_url, &cloud.swift.account),
        by_keystone(&cloud, "adam"),
    ] {
        let store = store(&options(account));
        let data = pattern(5 * MIB as usize, 1);
        on_worker(async {
            let (_, location) = put(&store, &data, true).await;
            revoke_all(&cloud);
            assert!(read(&store, &location, data.len()).await == data);
            revoke_all(&cloud);
            let (image, upload) = an_upload();
            let mut writer = store.create(&image, &upload, Some(5 * MIB)).await.unwrap();
            let (first, rest) = data.split_at(2 * MIB as usize - 5);
            write(&mut *writer, first).await.unwrap();
            revoke_all(&cloud);
            write(&mut *writer, rest).await.unwrap();
            let second = writer.commit().await.unwrap();
            assert!(read(&store, &second, data.len()).await == data);
            revoke_all(&cloud);
            for location in [&location, &second] {
                store.delete(location).await.unwrap();
            }
        });
    }
}

fn own_cloud(token_s: u32) -> Cloud {
    let keystone = Keystone::start(&Options { token_s });
    let swift = Swift::start_with(&keystone);
    Cloud { swift, keystone }
}

/// Revokes all tokens of `adam` in Keystone, as a new password does, and clears Swift's token
/// cache.
fn revoke_all(cloud: &Cloud) {
    // Both servers use whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let adam = cloud.keystone.user("adam");
    let admin = cloud.keystone.token("admin");
    for password in ["another-secret", &adam.password] {
        let body = serde_json::json!({ "user": { "password": password } });
        let request = Request::new("PATCH", &format!("/v3/users/{}", adam.id))
            .header("X-Auth-Token", &admin)
            .header("Content-Type", "application/json")
            .body(body.to_string());
        let connection = Connection::open(address_of(&cloud.keystone.auth_url));
        connection.expect("Keystone").request(&request).expect(200);
    }
    let port = std::fs::read_to_string(cloud.swift.folder().join("memcached.port"));
    let port = port.expect("a port");
    // "TCP INET: 40123"
    let port = port
        .rsplit(':')
        .next()
        .and_then(|port| port.trim().parse().ok());
    let mut memcached = TcpStream::connect(("127.0.0.1", port.expect("a port"))).unwrap();
    memcached.write_all(b"flush_all\r\n").unwrap();
    let mut answer = [0; 4];
    memcached.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"OK\r\n");
    std::thread::sleep(Duration::from_millis(1100));
}

#[test]
fn token_is_renewed_before_it_expires() {
    let cloud = own_cloud(4);
    let store = store(&options(by_keystone(&cloud, "alice")));
    on_worker(async {
        let (_, location) = put(&store, b"abc", true).await;
        let began = std::time::Instant::now();
        let mut reads = 0;
        while began.elapsed().as_secs() < 9 {
            assert_eq!(read(&store, &location, 3).await, b"abc");
            reads += 1;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let logins = cloud.keystone.log().matches("POST /v3/auth/tokens").count();
        assert!(logins < reads, "{logins} logins for {reads} reads");
        store.delete(&location).await.unwrap();
    });
}

#[test]
fn concurrent_requests_share_one_login() {
    let swift = Swift::shared();
    let gate = Gate::before(address_of(&swift.auth_url));
    let account = SwiftAccount {
        auth_address: gate.url(&swift.auth_url),
        ..by_v1(&swift.auth_url, &swift.account)
    };
    let mut options = options(account);
    // Only logins pass the gate.
    options.endpoint.url = Some(swift.account.storage_url.clone());
    let store = store(&options);
    on_worker(async {
        let (_, location) = put(&store, b"abc", true).await;
        let logins = gate.connections();
        assert_eq!(logins, 1);
        let all = (0..20).map(|_| store.size(&location));
        for size in all {
            assert_eq!(size.await.unwrap(), 3);
        }
        assert_eq!(gate.connections(), 1);
        gate.set(Mode::Closed);
        assert_eq!(read(&store, &location, 3).await, b"abc");
        store.delete(&location).await.unwrap();
    });
    // A request during the failure of logins receives an error.
    let store = super::store(&SwiftOptions { ..options });
    on_worker(async {
        let (image, upload) = an_upload();
        let created = store.create(&image, &upload, Some(1)).await;
        let kind = created.err().map(|error| error.kind());
        assert!(matches!(kind, Some(Kind::Unavailable { .. })), "{kind:?}");
    });
}
