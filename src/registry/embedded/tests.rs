//! Conformance, restarts, crashes and lost files of the embedded registry.

use std::path::Path;
use std::time::Duration;

use super::super::conformance;
use super::*;
use crate::error::Kind;
use crate::image::Timestamp;

fn options(folder: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        folder: folder.to_owned(),
        cache_bytes: 8 << 20,
        flush_limit: Duration::from_secs(15),
        reserve_bytes: 64 << 10,
        max_deleted_images: None,
        owner_limits: conformance::OWNER_LIMITS,
    }
}

fn open(folder: &Path) -> EmbeddedRegistry {
    EmbeddedRegistry::open(&options(folder)).unwrap()
}

#[tokio::test]
async fn passes_conformance() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path());
    conformance::all(&registry).await;
    conformance::documents(&registry).await;
    assert_eq!(
        std::fs::read_dir(folder.path().join("blobs"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn records_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let image = conformance::image("kept");
    let registry = open(folder.path());
    let first = registry.insert(image.clone()).await.unwrap();
    let mut changed = image.clone();
    changed.name = Some("changed".to_owned());
    registry.replace(changed, first.version).await.unwrap();
    drop(registry);
    let registry = open(folder.path());
    let record = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(record.version, 2);
    assert_eq!(record.image.name.as_deref(), Some("changed"));
}

#[tokio::test]
async fn second_process_cannot_open_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _registry = open(folder.path());
    let second = EmbeddedRegistry::open(&options(folder.path()));
    assert!(matches!(second.err(), Some(OpenError::InUse { .. })));
}

fn deleted(image: &Image, second: i64) -> Image {
    let mut image = image.clone();
    image.status = crate::image::Status::Deleted;
    image.deleted_at = Some(crate::image::Timestamp::from_micros(second * 1_000_000));
    image
}

#[tokio::test]
async fn purged_image_stays_purged_and_can_be_inserted_again() {
    let folder = tempfile::tempdir().unwrap();
    let image = conformance::image("purged");
    let registry = open(folder.path());
    let first = registry.insert(image.clone()).await.unwrap();
    let refused = registry.purge(&image.id, first.version).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "it is not deleted");
    let removal = registry.replace(deleted(&image, 1), first.version);
    let version = removal.await.unwrap().version;
    drop(registry);
    // sled has the deleted image now. This copy stays behind the journal.
    let older = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("db"), older.path().join("db")).unwrap();

    let registry = open(folder.path());
    let stale = registry.purge(&image.id, 1).await.unwrap_err();
    assert_eq!(stale.kind(), Kind::Stale);
    registry.purge(&image.id, version).await.unwrap();
    assert!(registry.get(&image.id).await.unwrap().is_none());
    let everything = Query::everything(10);
    assert!(registry.list(&everything).await.unwrap().is_empty());
    let again = registry.insert(image.clone()).await.unwrap();
    assert!(again.version > version, "{}", again.version);
    drop(registry);
    for sled_is_behind in [false, true] {
        if sled_is_behind {
            std::fs::copy(older.path().join("db"), folder.path().join("db")).unwrap();
        }
        let registry = open(folder.path());
        let found = registry.get(&image.id).await.unwrap();
        assert_eq!(found, Some(Arc::clone(&again)), "{sled_is_behind}");
    }
}

#[tokio::test]
async fn oldest_deleted_images_of_an_owner_are_purged() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        max_deleted_images: Some(20),
        ..options(folder.path())
    };
    let registry = EmbeddedRegistry::open(&options).unwrap();
    let mut images = Vec::new();
    for number in 0..21 {
        let mut image = conformance::image("deleted");
        image.owner = Some("a".to_owned());
        let version = registry.insert(image.clone()).await.unwrap().version;
        let removal = registry.replace(deleted(&image, number), version);
        removal.await.unwrap();
        images.push(image.id);
    }
    let other = conformance::image("kept");
    registry.insert(other.clone()).await.unwrap();
    let kept: Vec<bool> = images
        .iter()
        .map(|id| registry.try_get_cached(id).is_some())
        .collect();
    assert_eq!(kept, [vec![false; 3], vec![true; 18]].concat());
    assert_eq!(registry.check().await.unwrap().usage.images, 1);
    drop(registry);
    let registry = EmbeddedRegistry::open(&options).unwrap();
    assert_eq!(registry.image_count_when_opened(), 19);
    assert!(registry.try_get_cached(&other.id).is_some());
}

#[tokio::test]
async fn journal_alone_is_sufficient() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path());
    let kept = registry.insert(conformance::image("kept")).await.unwrap();
    let mut changed = kept.image.clone();
    changed.name = Some("changed".to_owned());
    let kept = registry.replace(changed, kept.version).await.unwrap();
    // As after a process that ended before it wrote to sled.
    let copied = tempfile::tempdir().unwrap();
    let journal = copied.path().join("journal");
    std::fs::copy(folder.path().join("journal"), journal).unwrap();
    let other = open(copied.path());
    assert_eq!(other.get(&kept.image.id).await.unwrap(), Some(kept));
}

fn document(id: &str, body: &str) -> Document {
    let key = DocumentKey::new("task", id).unwrap();
    Document::new(key, Timestamp::from_micros(7), body)
}

async fn documents(registry: &EmbeddedRegistry) -> Vec<Arc<Document>> {
    let all = DocumentQuery::everything(10);
    registry.list_documents(&all).await.unwrap()
}

#[tokio::test]
async fn documents_survive_a_restart_with_either_file_lost() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path());
    let first = registry.put_document(document("a", "1"), 0).await.unwrap();
    let second = registry
        .put_document(document("a", "2"), first.version)
        .await
        .unwrap();
    let removed = registry.put_document(document("b", "3"), 0).await.unwrap();
    let key = removed.key.clone();
    let deletion = registry.delete_document(&key, removed.version);
    deletion.await.unwrap();
    drop(registry);
    for lost in ["", "db", "journal"] {
        let copied = tempfile::tempdir().unwrap();
        for name in ["conf", "db", "journal"] {
            if name != lost {
                let from = folder.path().join(name);
                std::fs::copy(from, copied.path().join(name)).unwrap();
            }
        }
        let registry = open(copied.path());
        assert_eq!(documents(&registry).await, [Arc::clone(&second)], "{lost}");
        // The version of the deletion is not assigned again.
        let again = registry.put_document(document("b", "4"), 0).await.unwrap();
        assert!(again.version > removed.version + 1, "{lost}");
    }
}

#[tokio::test]
async fn documents_survive_a_crash_before_sled_is_written() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let older = tempfile::tempdir().unwrap();
    let registry = open(folder.path());
    let kept = registry.put_document(document("a", "1"), 0).await.unwrap();
    let removed = registry.put_document(document("b", "2"), 0).await.unwrap();
    drop(registry);
    // sled has both documents now; this copy does not know the deletion that follows.
    std::fs::copy(folder.path().join("db"), older.path().join("db")).unwrap();
    let registry = open(folder.path());
    let deletion = registry.delete_document(&removed.key, removed.version);
    deletion.await.unwrap();
    // The process ends in the middle of the next write: its frame is cut off.
    let torn = tempfile::tempdir().unwrap();
    let len = std::fs::metadata(folder.path().join("journal"))
        .unwrap()
        .len();
    registry.put_document(document("c", "3"), 0).await.unwrap();
    let journal = torn.path().join("journal");
    std::fs::copy(folder.path().join("journal"), &journal).unwrap();
    std::fs::copy(folder.path().join("conf"), torn.path().join("conf")).unwrap();
    std::fs::copy(older.path().join("db"), torn.path().join("db")).unwrap();
    let file = File::options().write(true).open(&journal).unwrap();
    file.set_len(len + 9).unwrap();
    let registry = open(torn.path());
    assert_eq!(documents(&registry).await, [kept]);
}

#[tokio::test]
async fn deleted_document_stays_deleted_after_a_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let registry = open(folder.path());
    let kept = registry.put_document(document("a", "1"), 0).await.unwrap();
    let removed = registry.put_document(document("b", "2"), 0).await.unwrap();
    let deletion = registry.delete_document(&removed.key, removed.version);
    deletion.await.unwrap();
    drop(registry);
    // Rewrites the journal as a compaction does, without the tombstone.
    let (mut journal, _) = journal::Journal::open(folder.path(), 0).unwrap();
    let opened = open::open(&options(folder.path())).unwrap();
    let no_tombstones = journal::Purged::new();
    journal
        .rewrite(&opened.stored, &no_tombstones, None)
        .unwrap();
    drop((journal, opened));
    let registry = open(folder.path());
    assert_eq!(documents(&registry).await, [kept]);
    let again = registry.put_document(document("b", "3"), 0).await.unwrap();
    assert!(again.version > removed.version + 1);
}
