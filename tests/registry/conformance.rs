//! The conformance tests of registries, run on a registry server and on etcd.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;

use glance::error::Kind;
use glance::http_client::{TlsOptions, client_config};
use glance::registry::{
    DocumentKey, DocumentQuery, Registry, RemoteOptions, RemoteRegistry, conformance,
};
use glance::wire::registry::RECORD;

use crate::support::server::Setup;

fn run(registry: &dyn Registry) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        conformance::all(registry).await;
        conformance::documents(registry).await;
    });
}

fn remote(address: String) -> RemoteRegistry {
    let tls = client_config(&TlsOptions {
        ca_file: None,
        insecure: false,
    });
    let remote = RemoteRegistry::new(&RemoteOptions {
        address,
        timeout: Duration::from_secs(10),
        owner_limits: conformance::OWNER_LIMITS,
        tls: tls.expect("TLS"),
    });
    remote.expect("a client")
}

#[test]
fn registry_server_passes_conformance() {
    let limits = conformance::OWNER_LIMITS;
    let server = Setup::registry()
        .option("user_storage_quota", limits.bytes.expect("a limit"))
        .option("user_image_quota", limits.images.expect("a limit"))
        .start();
    run(&remote(format!("http://{}", server.address())));
}

/// Starts a registry server as it was in a release without documents: it has the census of the
/// record protocol and answers every other route with 404. Returns its address.
fn without_documents() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let body = r#"{"usage":{},"counts":[]}"#;
    let census = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {RECORD}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let not_found = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines();
            while let Some(Ok(first)) = lines.next() {
                // The rest of the head; the requests of this test have no bodies.
                lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
                let response = match first.starts_with("GET /census ") {
                    true => census.as_str(),
                    false => not_found,
                };
                (&stream).write_all(response.as_bytes()).expect("a client");
            }
        }
    });
    address
}

#[test]
fn registry_server_without_documents_is_reported() {
    let registry = remote(without_documents());
    let key = DocumentKey::new("task", "7").expect("a key");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let refused = runtime.block_on(registry.get_document(&key)).unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{refused:?}");
    let cause = refused.cause().expect("a cause");
    assert!(cause.contains("earlier release"), "{cause}");
    let query = DocumentQuery::everything(10);
    let refused = runtime.block_on(registry.list_documents(&query));
    assert_eq!(refused.unwrap_err().kind(), Kind::Conflict);
}

#[cfg(feature = "etcd")]
#[test]
fn etcd_passes_conformance() {
    use glance::registry::{EtcdOptions, EtcdRegistry, EtcdTls};

    for members in [1, 3] {
        let etcd = crate::support::etcd::Etcd::start(members);
        let endpoints = etcd.endpoints();
        let start = || {
            let options = EtcdOptions {
                endpoints: endpoints.split(',').map(str::to_owned).collect(),
                prefix: "/conformance/".to_owned(),
                user: String::new(),
                password: String::new(),
                tls: EtcdTls::default(),
                timeout: Duration::from_secs(10),
                read_limit: None,
                owner_limits: conformance::OWNER_LIMITS,
            };
            EtcdRegistry::start(options).expect("a registry")
        };
        let registry = start();
        crate::support::within(
            crate::support::PATIENCE,
            "the registry has read etcd",
            || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let check = runtime.expect("a runtime").block_on(registry.check());
                check.is_ok()
            },
        );
        run(&registry);
        documents_are_shared(&registry, &start());
    }
}

/// Checks that a second server sees the documents of the first one, by reads and by its watch.
#[cfg(feature = "etcd")]
fn documents_are_shared(first: &dyn Registry, second: &dyn Registry) {
    use glance::image::Timestamp;
    use glance::registry::Document;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let key = DocumentKey::new("shared", "7").expect("a key");
    let document = Document::new(key.clone(), Timestamp::from_micros(1), "body");
    let query = DocumentQuery {
        kind: Some("shared".to_owned()),
        ..DocumentQuery::everything(10)
    };
    let listed = || runtime.block_on(second.list_documents(&query));
    crate::support::within(crate::support::PATIENCE, "the second has read etcd", || {
        listed().is_ok()
    });
    let written = runtime
        .block_on(first.put_document(document, 0))
        .expect("a write");
    let read = runtime.block_on(second.get_document(&key)).expect("a read");
    assert_eq!(read.as_ref(), Some(&written));
    crate::support::within(crate::support::PATIENCE, "the second lists it", || {
        listed().is_ok_and(|documents| documents == [written.clone()])
    });
    let deleted = runtime.block_on(second.delete_document(&key, written.version));
    deleted.expect("a deletion");
    assert!(listed().expect("a list").is_empty());
    let stale = runtime.block_on(first.delete_document(&key, written.version));
    assert_eq!(stale.unwrap_err().kind(), Kind::Stale);
}
