//! API servers with an etcd that requires TLS, a client certificate and a login.

use std::time::Duration;

use crate::support::authority::Authority;
use crate::support::etcd::Etcd;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::{RAW, post, put};
use crate::support::within;

#[test]
fn servers_share_a_secured_cluster() {
    let etcd = Etcd::start_secured(3);
    let images = temp_folder();
    let nodes = [(); 2].map(|()| Setup::new().etcd(&etcd).store_dir(images.path()).start());
    let [a, b] = &nodes;
    let id = a.upload(&[("x-image-meta-is_public", "True")], b"data");
    assert_eq!(b.download(&id).expect(200).body, b"data");
    // A restarted member does not know the tokens that it has issued.
    for member in 0..etcd.len() {
        etcd.restart(member);
        etcd.await_leader();
        let name = format!("after {member}");
        within(Duration::from_secs(15), "it is written again", || {
            let renamed = a.request(&put(&id, &[("x-image-meta-name", &name)]));
            renamed.status == 200
        });
        within(Duration::from_secs(15), "the other follows", || {
            b.head(&id).header("x-image-meta-name") == Some(&*name)
        });
    }
    // All members at once: none is left that knows a token.
    (0..etcd.len()).for_each(|member| etcd.kill(member));
    (0..etcd.len()).for_each(|member| etcd.restart(member));
    etcd.await_leader();
    for node in &nodes {
        within(Duration::from_secs(20), "it is written again", || {
            node.request(&post(RAW)).status == 201
        });
    }
}

/// Starts a server that etcd refuses, and returns its log.
fn refused(setup: Setup) -> String {
    let mut server: Server = setup.option("registry_start_timeout", 3).prepare();
    server.spawn();
    assert!(!server.wait(Duration::from_secs(30)).success());
    server.log()
}

#[test]
fn refused_server_logs_the_reason() {
    let etcd = Etcd::start_secured(1);
    let setup = || Setup::new().etcd(&etcd);
    let stranger = Authority::new();
    for (setup, why) in [
        (
            setup().option("etcd_password", "not this"),
            "authentication failed",
        ),
        (
            setup().option("etcd_prefix", "/of-others/"),
            "permission denied",
        ),
        (
            setup().option("etcd_ca_file", stranger.ca_file().display()),
            "invalid peer certificate",
        ),
        (
            setup().option("etcd_key_file", ""),
            "etcd_cert_file and etcd_key_file go together",
        ),
        (
            setup().option("etcd_ca_file", "/nowhere/ca.pem"),
            "etcd_ca_file /nowhere/ca.pem cannot be read",
        ),
    ] {
        let log = refused(setup);
        assert!(log.contains(why), "{why}: {log}");
        assert!(!log.contains("a secret of"), "{log}");
    }
    // Without a certificate etcd closes the connection.
    let anonymous = setup()
        .option("etcd_cert_file", "")
        .option("etcd_key_file", "");
    let log = refused(anonymous);
    assert!(log.contains("registry_start_timeout"), "{log}");
}
