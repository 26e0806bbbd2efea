//! The embedded registry: a journal, sled behind it, and answers from memory.
//!
//! A write is acknowledged when it is in the [`journal`] and that is synced ([`commit`]). sled
//! receives it later, from a thread of its own ([`follower`]), so that no client waits for
//! sled: its flush can take seconds, hang, or fail on a full disk, and does not make records
//! durable on Linux anyway (it starts write-back and does not wait for the device).
//!
//! A start compares the two, and the newer record counts. Files of sled that cannot be read
//! are set aside and made anew; a journal that is damaged is made anew from sled.

mod backlog;
mod commit;
mod health;
mod journal;
mod open;
mod open_error;
mod options;
mod permissions;
mod reconcile;
mod sled_mirror;
mod sled_writer;
mod time_limited;

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use self::backlog::Backlog;
use self::commit::{Committer, Request, Write};
use self::health::Health;
pub use self::journal::JournalReader;
pub use self::open_error::OpenError;
pub use self::options::EmbeddedOptions;
use super::index::Index;
use super::{Record, Registry, RegistryStats, Version};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Usage};

/// A registry in this process, on this disk.
pub struct EmbeddedRegistry {
    index: Arc<Index>,
    health: Arc<Health>,
    backlog: Arc<Backlog>,
    writes: Option<mpsc::UnboundedSender<Request>>,
    committer: Option<JoinHandle<()>>,
    sled_writer: Option<JoinHandle<()>>,
    damaged: Arc<[ImageId]>,
    image_count: usize,
    /// Released when both threads have ended.
    _lock: File,
}

impl EmbeddedRegistry {
    /// Opens the folder, reads every record, and starts the threads.
    ///
    /// # Errors
    /// [`OpenError`]: in use by another process, not readable, damaged, of a later version.
    pub fn open(options: &EmbeddedOptions) -> std::result::Result<Self, OpenError> {
        let opened = open::open(options)?;
        let index = Arc::new(Index::new(opened.snapshot.clone()));
        let health = Arc::new(Health::new(options.flush_limit));
        let backlog = Arc::new(Backlog::new(opened.backlog, opened.purged));
        let (writes, waiting) = mpsc::unbounded_channel();
        let committer = Committer {
            snapshot: opened.snapshot,
            journal: opened.journal,
            index: Arc::clone(&index),
            health: Arc::clone(&health),
            backlog: Arc::clone(&backlog),
            owner_limits: options.owner_limits,
            max_deleted_images: options.max_deleted_images,
        };
        let sled_writer = sled_writer::start(
            options,
            opened.mirror,
            Arc::clone(&index),
            Arc::clone(&backlog),
        );
        let mut registry = Self {
            index,
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

    /// How many images there were when the registry was opened, deleted ones included.
    pub fn image_count_when_opened(&self) -> usize {
        self.image_count
    }

    async fn write(&self, write: Write) -> Result<Arc<Record>> {
        let (answer, mut answered) = oneshot::channel();
        let request = Request { write, answer };
        let writes = self.writes.as_ref();
        if writes.is_none_or(|writes| writes.send(request).is_err()) {
            return Err(self.health.refusal());
        }
        let every = self.health.poll_interval();
        loop {
            match tokio::time::timeout(every, &mut answered).await {
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

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        self.check_undamaged(id)?;
        Ok(self.index.get(id))
    }

    fn try_get_cached(&self, id: &ImageId) -> Option<Arc<Record>> {
        self.index.get(id)
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.check_undamaged(&image.id)?;
        self.write(Write::Insert(image)).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.write(Write::Replace(image, seen)).await
    }

    async fn purge(&self, id: &ImageId, seen: Version) -> Result<()> {
        self.write(Write::Purge(*id, seen)).await.map(drop)
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.index
            .list(query)
            .map_err(|_| Error::new(Kind::Invalid, "Invalid marker. Image could not be found."))
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        Ok(self.index.usage(owner))
    }

    async fn check(&self) -> Result<RegistryStats> {
        self.health.check().map(|()| self.index.stats())
    }

    fn unreadable(&self) -> Vec<ImageId> {
        self.damaged.to_vec()
    }
}

impl Drop for EmbeddedRegistry {
    /// Waits until what was being written is on disk, and sled is closed.
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
    async fn conforms() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path());
        conformance::all(&registry).await;
        assert_eq!(
            std::fs::read_dir(folder.path().join("blobs"))
                .unwrap()
                .count(),
            0
        );
    }

    #[tokio::test]
    async fn remembers_across_a_restart() {
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
    async fn a_second_process_is_kept_out() {
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
    async fn what_is_forgotten_stays_forgotten_and_can_be_registered_again() {
        let folder = tempfile::tempdir().unwrap();
        let image = conformance::image("purged");
        let registry = open(folder.path());
        let first = registry.insert(image.clone()).await.unwrap();
        let refused = registry.purge(&image.id, first.version).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Conflict, "it is not deleted");
        let removal = registry.replace(deleted(&image, 1), first.version);
        let version = removal.await.unwrap().version;
        drop(registry);
        // sled has the deleted image now, and is copied as it is.
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
    async fn an_owner_has_so_many_deleted_images_and_the_oldest_are_forgotten() {
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
    async fn a_journal_alone_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let registry = open(folder.path());
        let kept = registry.insert(conformance::image("kept")).await.unwrap();
        let mut changed = kept.image.clone();
        changed.name = Some("changed".to_owned());
        let kept = registry.replace(changed, kept.version).await.unwrap();
        // The process ends before sled has anything.
        let copied = tempfile::tempdir().unwrap();
        let journal = copied.path().join("journal");
        std::fs::copy(folder.path().join("journal"), journal).unwrap();
        let other = open(copied.path());
        assert_eq!(other.get(&kept.image.id).await.unwrap(), Some(kept));
    }
}
