//! What every registry must do, done to a registry server and to etcd.

use std::time::Duration;

use glance::http_client::{TlsOptions, client_config};
use glance::registry::{Registry, RemoteOptions, RemoteRegistry, conformance};

use crate::support::server::Setup;

fn run(registry: &dyn Registry) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(conformance::all(registry));
}

#[test]
fn a_registry_server_conforms() {
    let limits = conformance::OWNER_LIMITS;
    let server = Setup::registry()
        .option("user_storage_quota", limits.bytes.expect("a limit"))
        .option("user_image_quota", limits.images.expect("a limit"))
        .start();
    let tls = client_config(&TlsOptions {
        ca_file: None,
        insecure: false,
    });
    let remote = RemoteRegistry::new(&RemoteOptions {
        address: format!("http://{}", server.address()),
        timeout: Duration::from_secs(10),
        owner_limits: limits,
        tls: tls.expect("TLS"),
    });
    run(&remote.expect("a client"));
}

#[cfg(feature = "etcd")]
#[test]
fn etcd_conforms() {
    use glance::registry::{EtcdOptions, EtcdRegistry, EtcdTls};

    for members in [1, 3] {
        let etcd = crate::support::etcd::Etcd::start(members);
        let endpoints = etcd.endpoints();
        let registry = EtcdRegistry::start(EtcdOptions {
            endpoints: endpoints.split(',').map(str::to_owned).collect(),
            prefix: "/conformance/".to_owned(),
            user: String::new(),
            password: String::new(),
            tls: EtcdTls::default(),
            timeout: Duration::from_secs(10),
            read_limit: None,
            owner_limits: conformance::OWNER_LIMITS,
        })
        .expect("a registry");
        crate::support::within(crate::support::PATIENCE, "it has read etcd", || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let check = runtime.expect("a runtime").block_on(registry.check());
            check.is_ok()
        });
        run(&registry);
    }
}
