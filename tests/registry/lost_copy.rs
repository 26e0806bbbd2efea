//! The folder of an embedded registry that the first release has written is opened even if one of
//! its two copies is lost, and accepts documents, which that release did not have.
//!
//! `lost_copy/` was written by the programs of that release: an active, a queued and a deleted
//! image, and a purged one, of which only a tombstone remains. `db` lacks its trailing zeros.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use glance::image::{Image, OwnerLimits, Query, Status, Timestamp};
use glance::registry::{
    Document, DocumentKey, DocumentQuery, EmbeddedOptions, EmbeddedRegistry, JournalReader,
    Registry,
};

/// Length of sled's file as that release has left it.
const DB_BYTES: u64 = 524_287;

fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/registry/lost_copy");
    folder.join(name)
}

/// Copies the folder of the registry without one of its files.
fn folder_without(missing: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["conf", "db", "journal"] {
        if name != missing {
            fs::copy(fixture(name), folder.path().join(name)).unwrap();
        }
    }
    if missing != "db" {
        let db = File::options().write(true).open(folder.path().join("db"));
        db.unwrap().set_len(DB_BYTES).unwrap();
    }
    folder
}

fn open(folder: &Path) -> EmbeddedRegistry {
    let options = EmbeddedOptions {
        folder: folder.to_owned(),
        cache_bytes: 8 << 20,
        flush_limit: Duration::from_secs(15),
        reserve_bytes: 0,
        max_deleted_images: None,
        owner_limits: OwnerLimits::default(),
    };
    EmbeddedRegistry::open(&options).unwrap()
}

fn check_images(images: &[Image]) {
    let [active, queued, deleted] = images else {
        panic!("{images:?}");
    };
    assert_eq!(active.id.as_str(), "11111111-1111-4111-8111-111111111111");
    assert_eq!(active.name.as_deref(), Some("active ü"));
    assert_eq!(active.status, Status::Active);
    assert_eq!(active.size_bytes, 8);
    assert_eq!(active.properties["os"].as_deref(), Some("linux"));
    assert_eq!(queued.owner.as_deref(), Some("project-1"));
    assert_eq!(queued.min_ram_mb, 512);
    assert!(queued.protected);
    assert_eq!(queued.members[0].id, "project-2");
    assert!(queued.members[0].can_share);
    assert_eq!(deleted.status, Status::Deleted);
    assert!(deleted.deleted_at.is_some());
}

async fn images(registry: &EmbeddedRegistry) -> Vec<Image> {
    let records = registry.list(&Query::everything(10)).await.unwrap();
    records.iter().map(|record| record.image.clone()).collect()
}

#[tokio::test]
async fn embedded_registry_of_the_first_release_is_opened() {
    for missing in ["", "db", "journal"] {
        let folder = folder_without(missing);
        let registry = open(folder.path());
        check_images(&images(&registry).await);
        // Both kinds of items are accepted, and both survive a restart.
        let image = Image::queued(
            "99999999-9999-4999-8999-999999999999".parse().unwrap(),
            now(),
        );
        registry.insert(image).await.unwrap();
        let key = DocumentKey::new("task", "7").unwrap();
        let document = registry.put_document(Document::new(key, now(), "body"), 0);
        let document = document.await.unwrap();
        drop(registry);
        let registry = open(folder.path());
        let images = images(&registry).await;
        check_images(&images[..3]);
        assert_eq!(images.len(), 4, "{missing}");
        let documents = registry
            .list_documents(&DocumentQuery::everything(10))
            .await;
        assert_eq!(documents.unwrap(), [document], "{missing}");
    }
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000)
}

#[test]
fn journal_of_the_first_release_is_read() {
    let folder = folder_without("");
    let journal = JournalReader::read(folder.path()).unwrap();
    let images: Vec<Image> = journal.images().map(Result::unwrap).collect();
    check_images(&images);
    assert_eq!(journal.documents().count(), 0);
}
