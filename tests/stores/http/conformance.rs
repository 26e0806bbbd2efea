//! Conformance of the HTTP store, which only reads.

use std::process::{Command, Stdio};
use std::time::Duration;

use glance::http_client::{AddressFilter, TlsOptions};
use glance::image::{Location, SourceRules};
use glance::store::{HttpStore, HttpStoreOptions, Store, conformance};
use tokio::task::LocalSet;

use super::honest;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::ports::free_port;
use crate::support::{eventually, pattern};

fn store(tls: TlsOptions) -> HttpStore {
    let options = HttpStoreOptions {
        connect_timeout: Duration::from_secs(5),
        answer_timeout: Duration::from_secs(5),
        stall_timeout: Duration::from_secs(5),
        max_discarded_bytes: 1 << 30,
        max_redirects: 0,
        rules: SourceRules::default(),
        address_filter: AddressFilter {
            private: true,
            own: Vec::new(),
        },
        tls,
    };
    HttpStore::new(options).expect("a store")
}

fn location(url: &str) -> Location {
    Location::parse(url).expect("a location")
}

fn on_worker(future: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, future);
}

fn conforms(store: &dyn Store, origin: &Origin) {
    let missing = Origin::start(Content::new(1, 1), |_| Answer::status(404));
    let data = origin.content.all();
    on_worker(conformance::reads(
        store,
        &location(&origin.url("/object")),
        &data,
        &location(&missing.url("/object")),
    ));
}

#[test]
fn http_store_conforms() {
    conforms(&store(TlsOptions::default()), &honest(1_000_000));
}

#[test]
fn http_store_conforms_over_tls() {
    let origin = Origin::start_tls(Content::new(2, 1_000_000), |_| Answer::whole());
    let tls = TlsOptions {
        ca_file: Some(origin.ca_file()),
        insecure: false,
    };
    conforms(&store(tls), &origin);
}

/// A real server that supports neither ranges nor entity tags.
#[test]
fn http_store_reads_from_pythons_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = pattern(3_000_000, 11);
    std::fs::write(folder.path().join("a file"), &data).expect("a file");
    let port = free_port().to_string();
    let mut server = Command::new("python3")
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port])
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3");
    let store = store(TlsOptions::default());
    let object = location(&format!("http://127.0.0.1:{port}/a%20file"));
    let missing = location(&format!("http://127.0.0.1:{port}/none"));
    on_worker(async {
        eventually("python listens", || {
            std::net::TcpStream::connect(format!("127.0.0.1:{port}")).ok()
        });
        assert_eq!(store.size(&object).await.expect("a size"), 3_000_000);
        assert!(conformance::read_whole(&store, &object, data.len()).await == data);
        assert!(store.size(&missing).await.is_err());
    });
    server.kill().expect("a child of ours");
    server.wait().expect("a child of ours");
}
