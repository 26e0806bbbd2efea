//! Dumps carry the documents of a registry.

use std::path::Path;
use std::time::Duration;

use glance::image::{OwnerLimits, Timestamp};
use glance::registry::{
    Document, DocumentKey, DocumentQuery, EmbeddedOptions, EmbeddedRegistry, Registry,
};

use super::{manage, prepared};
use crate::support::server::{Server, Setup};

/// Opens the registry of a server that does not run.
fn open(server: &Server) -> EmbeddedRegistry {
    let options = EmbeddedOptions {
        folder: server.data_dir().join("registry"),
        cache_bytes: 8 << 20,
        flush_limit: Duration::from_secs(15),
        reserve_bytes: 0,
        max_deleted_images: None,
        owner_limits: OwnerLimits::default(),
    };
    EmbeddedRegistry::open(&options).expect("a registry")
}

/// Writes a document in the state that `body` and `micros` describe.
async fn put(registry: &EmbeddedRegistry, id: &str, body: &str, micros: i64) {
    let key = DocumentKey::new("task", id).expect("a key");
    let current = registry.get_document(&key).await.expect("a read");
    let seen = current.map_or(0, |document| document.version);
    let mut document = Document::new(key, Timestamp::from_micros(micros), body);
    document.owner = Some("project".to_owned());
    registry
        .put_document(document, seen)
        .await
        .expect("a write");
}

/// The bodies of all documents in the order of their keys.
async fn bodies(server: &Server) -> Vec<String> {
    let registry = open(server);
    let query = DocumentQuery::everything(10);
    let documents = registry.list_documents(&query).await.expect("a list");
    let body = |document: &Document| String::from_utf8(document.body.clone()).expect("a text");
    documents.iter().map(|document| body(document)).collect()
}

#[tokio::test]
async fn documents_are_exported_and_imported() {
    let (from, to) = (prepared(Setup::new()), prepared(Setup::new()));
    std::fs::create_dir_all(from.data_dir()).expect("a folder");
    std::fs::create_dir_all(to.data_dir()).expect("a folder");
    let registry = open(&from);
    put(&registry, "a", "first", 5).await;
    put(&registry, "b", "second", 5).await;
    drop(registry);
    let dump = from.folder().join("documents.dump");
    let file = dump.to_str().expect("a path");
    manage(&from, &["export", file]).expect(0);
    assert!(is_version_2(&dump));

    manage(&to, &["import", "--dry-run", file])
        .expect(0)
        .says("documents: 2 written, 0 kept");
    manage(&to, &["import", file])
        .expect(0)
        .says("documents: 2 written, 0 kept");
    manage(&to, &["import", file])
        .expect(0)
        .says("documents: 0 written, 2 kept");
    assert_eq!(bodies(&to).await, ["first", "second"]);

    let registry = open(&to);
    put(&registry, "a", "changed", 9).await;
    drop(registry);
    manage(&to, &["import", file])
        .expect(1)
        .says("documents differ from those in the registry (1: task/a)");
    manage(&to, &["import", "--merge", "newer", file]).expect(0);
    assert_eq!(bodies(&to).await, ["changed", "second"]);
    manage(&to, &["import", "--merge", "replace", file]).expect(0);
    assert_eq!(bodies(&to).await, ["first", "second"]);
}

/// Releases that know no documents refuse a dump of version 2 by its first line.
fn is_version_2(dump: &Path) -> bool {
    let text = std::fs::read_to_string(dump).expect("a dump");
    let first = text.lines().next().expect("a line");
    first.contains("\"version\":2")
}
