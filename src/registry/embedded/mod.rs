//! The embedded registry: a journal, a second copy in sled, and answers from memory.
//!
//! A write is acknowledged once it is in the [`journal`] and the journal is synced ([`commit`]).
//! sled receives it later, from its own thread ([`sled_writer`]), so that no client waits for
//! sled: a flush of sled can take seconds, hang, or fail on a full disk, and does not make items
//! durable on Linux anyway (it starts write-back and does not wait for the device).
//!
//! When the registry is opened ([`open`]), the two are compared and the newer state wins. Files of
//! sled that cannot be read are set aside and recreated; a damaged journal is rewritten from sled.

mod backlog;
mod commit;
mod health;
mod journal;
mod key;
mod open;
mod open_error;
mod options;
mod permissions;
mod reconcile;
mod sled_mirror;
mod sled_writer;
mod stored;
mod time_limited;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use self::backlog::Backlog;
use self::commit::{Committed, Committer, Request, Write};
use self::health::Health;
pub use self::journal::JournalReader;
pub use self::open_error::OpenError;
pub use self::options::EmbeddedOptions;
use self::stored::Published;
use super::documents::{Document, DocumentKey, DocumentQuery};
use super::{Record, Registry, RegistryStats, Version, refusals};
use crate::error::{Error, Result};
use crate::image::{Image, ImageId, Query, Usage};

/// A registry in this process and on the local disk.
pub struct EmbeddedRegistry {
    published: Arc<Published>,
    health: Arc<Health>,
    backlog: Arc<Backlog>,
    writes: Option<mpsc::UnboundedSender<Request>>,
    committer: Option<JoinHandle<()>>,
    sled_writer: Option<JoinHandle<()>>,
    damaged: Arc<[ImageId]>,
    image_count: usize,
    /// The lock on the folder. Fields are dropped after `Drop::drop`, so it is released when both
    /// threads have ended.
    _lock: File,
}

impl EmbeddedRegistry {
    /// Opens the folder, reads every item and starts the threads.
    ///
    /// # Errors
    /// [`OpenError`] if the folder is in use by another process, cannot be read, is damaged or was
    /// written by a later release.
    pub fn open(options: &EmbeddedOptions) -> std::result::Result<Self, OpenError> {
        let opened = open::open(options)?;
        let published = Arc::new(Published::new(opened.stored.clone()));
        let health = Arc::new(Health::new(options.flush_limit));
        let backlog = Arc::new(Backlog::new(opened.backlog, opened.purged));
        let (writes, waiting) = mpsc::unbounded_channel();
        let committer = Committer {
            stored: opened.stored,
            journal: opened.journal,
            published: Arc::clone(&published),
            health: Arc::clone(&health),
            backlog: Arc::clone(&backlog),
            owner_limits: options.owner_limits,
            max_deleted_images: options.max_deleted_images,
        };
        let sled_writer = sled_writer::start(
            options,
            opened.mirror,
            Arc::clone(&published),
            Arc::clone(&backlog),
        );
        let mut registry = Self {
            published,
            health,
            backlog,
            writes: Some(writes),
            committer: None,
            sled_writer: Some(sled_writer.map_err(OpenError::Thread)?),
            damaged: opened.damaged.into(),
            image_count: opened.image_count,
            _lock: opened.lock,
        };
        let thread = std::thread::Builder::new().name("registry".to_owned());
        let committer = thread.spawn(move || committer.run(waiting));
        registry.committer = Some(committer.map_err(OpenError::Thread)?);
        Ok(registry)
    }

    /// Returns the number of images at the time the registry was opened, including deleted ones.
    pub fn image_count_when_opened(&self) -> usize {
        self.image_count
    }

    async fn write(&self, write: Write) -> Result<Committed> {
        let (answer, mut answered) = oneshot::channel();
        let request = Request { write, answer };
        let writes = self.writes.as_ref();
        if writes.is_none_or(|writes| writes.send(request).is_err()) {
            return Err(self.health.refusal());
        }
        // The commit thread cannot report that it hangs in the kernel, so the waiting side checks
        // at intervals how long the current write has been in progress.
        let interval = self.health.poll_interval();
        loop {
            match tokio::time::timeout(interval, &mut answered).await {
                Ok(Ok(result)) => return result,
                Ok(Err(_)) => return Err(self.health.refusal()),
                Err(_) if self.health.is_stuck() => {
                    self.health.fail_stuck();
                    return Err(self.health.refusal());
                }
                Err(_) => {}
            }
        }
    }

    async fn write_record(&self, write: Write) -> Result<Arc<Record>> {
        match self.write(write).await? {
            Committed::Record(record) => Ok(record),
            Committed::Document(_) | Committed::Removed => Err(wrong_result()),
        }
    }

    fn check_undamaged(&self, id: &ImageId) -> Result<()> {
        if self.damaged.contains(id) {
            let cause = io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the record of image {id} is damaged"),
            );
            return Err(Error::internal(cause));
        }
        Ok(())
    }
}

fn wrong_result() -> Error {
    Error::internal("the commit thread answered with the result of another kind of write")
}

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        self.check_undamaged(id)?;
        Ok(self.published.index.get(id))
    }

    fn try_get_cached(&self, id: &ImageId) -> Option<Arc<Record>> {
        self.published.index.get(id)
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.check_undamaged(&image.id)?;
        self.write_record(Write::Insert(image)).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.write_record(Write::Replace(image, seen)).await
    }

    async fn purge(&self, id: &ImageId, seen: Version) -> Result<()> {
        self.write(Write::Purge(*id, seen)).await.map(drop)
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.published
            .index
            .list(query)
            .map_err(refusals::unknown_marker)
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        Ok(self.published.index.usage(owner))
    }

    async fn check(&self) -> Result<RegistryStats> {
        self.health.check().map(|()| self.published.index.stats())
    }

    async fn get_document(&self, key: &DocumentKey) -> Result<Option<Arc<Document>>> {
        Ok(self.published.documents().get(key).cloned())
    }

    async fn put_document(&self, document: Document, seen: Version) -> Result<Arc<Document>> {
        match self.write(Write::PutDocument(document, seen)).await? {
            Committed::Document(document) => Ok(document),
            Committed::Record(_) | Committed::Removed => Err(wrong_result()),
        }
    }

    async fn delete_document(&self, key: &DocumentKey, seen: Version) -> Result<()> {
        let write = Write::DeleteDocument(key.clone(), seen);
        self.write(write).await.map(drop)
    }

    async fn list_documents(&self, query: &DocumentQuery) -> Result<Vec<Arc<Document>>> {
        Ok(self.published.documents().list(query))
    }

    fn unreadable(&self) -> Vec<ImageId> {
        self.damaged.to_vec()
    }
}

impl Drop for EmbeddedRegistry {
    /// Waits until the writes in progress are on disk and sled is closed.
    fn drop(&mut self) {
        drop(self.writes.take());
        if let Some(committer) = self.committer.take()
            && !self.health.is_stuck()
        {
            // A thread that panicked has nothing left to finish.
            let _ = committer.join();
        }
        self.backlog.close();
        if let Some(sled_writer) = self.sled_writer.take() {
            let _ = sled_writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
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
        journal.rewrite(&opened.stored, None).unwrap();
        drop((journal, opened));
        let registry = open(folder.path());
        assert_eq!(documents(&registry).await, [kept]);
        let again = registry.put_document(document("b", "3"), 0).await.unwrap();
        assert!(again.version > removed.version + 1);
    }
}
