//! The embedded registry: records in sled, answers from memory.
//!
//! sled 0.34 keeps the bytes, but its flush does not make them durable on Linux: it starts
//! write-back and does not wait for the device. So every write goes through one commit
//! thread, which applies what is waiting, flushes, syncs sled's file itself, and only then
//! publishes and answers. See [`commit`].
//!
//! sled's files may break all the same. Each record is therefore written twice, the second time
//! to a [`journal`] of our own; where the two disagree at the start, the newer record counts,
//! and files of sled that cannot be read are set aside and made anew.

mod commit;
mod journal;
mod open;
mod options;
mod rebuild;
mod timed;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use self::commit::{Append, Committer, Health, Request, Write};
pub use self::journal::Journalled;
pub use self::open::OpenError;
pub use self::options::SledOptions;
use self::timed::Timed;
use super::index::Index;
use super::{Census, Record, Registry, Version};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Usage};

/// A registry in this process, on this disk.
pub struct SledRegistry {
    index: Arc<Index>,
    health: Arc<Health>,
    writes: Option<mpsc::UnboundedSender<Request>>,
    thread: Option<JoinHandle<()>>,
    damaged: Arc<[ImageId]>,
    image_count: usize,
}

impl SledRegistry {
    /// Opens the folder, reads every record, and starts the commit thread.
    ///
    /// # Errors
    /// [`OpenError`]: in use by another process, not readable, damaged, of a later version.
    pub fn open(options: &SledOptions) -> std::result::Result<Self, OpenError> {
        let (opened, mut journal) = open::open(options)?;
        let index = Arc::new(Index::new(opened.snapshot.clone()));
        let health = Arc::new(Health::default());
        let damaged: Arc<[ImageId]> = opened.damaged.clone().into();
        let image_count = opened.image_count;
        let (writes, waiting) = mpsc::unbounded_channel();
        let db = opened.db.clone();
        let flush = move |()| {
            let flushed = db.flush().map(drop);
            flushed.map_err(|error| format!("sled cannot write: {error}"))
        };
        let flusher = Timed::start("flush", options.flush_limit, flush);
        let append = move |append: Append| {
            let appended = journal.append(&append.frames, &append.before);
            appended.map_err(|error| format!("the registry's journal cannot be written: {error}"))
        };
        let journal = Timed::start("journal", options.flush_limit, append);
        let committer = Committer {
            opened,
            index: Arc::clone(&index),
            health: Arc::clone(&health),
            flusher: flusher.map_err(OpenError::Thread)?,
            journal: journal.map_err(OpenError::Thread)?,
            owner_limits: options.owner_limits,
        };
        let thread = std::thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || committer.run(waiting))
            .map_err(OpenError::Thread)?;
        Ok(Self {
            index,
            health,
            writes: Some(writes),
            thread: Some(thread),
            damaged,
            image_count,
        })
    }

    /// How many images there were when the registry was opened, deleted ones included.
    pub fn image_count_at_open(&self) -> usize {
        self.image_count
    }

    async fn write(&self, write: Write) -> Result<Arc<Record>> {
        let (answer, answered) = oneshot::channel();
        let request = Request { write, answer };
        let writes = self.writes.as_ref();
        if writes.is_none_or(|writes| writes.send(request).is_err()) {
            return Err(self.health.refusal());
        }
        match answered.await {
            Ok(result) => result,
            Err(_) => Err(self.health.refusal()),
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
impl Registry for SledRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        self.check_undamaged(id)?;
        Ok(self.index.get(id))
    }

    fn at_hand(&self, id: &ImageId) -> Option<Arc<Record>> {
        self.index.get(id)
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.check_undamaged(&image.id)?;
        self.write(Write::Insert(image)).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.write(Write::Replace(image, seen)).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.index
            .list(query)
            .map_err(|_| Error::new(Kind::Invalid, "Invalid marker. Image could not be found."))
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        Ok(self.index.usage(owner))
    }

    async fn check(&self) -> Result<Census> {
        self.health.check().map(|()| self.index.census())
    }

    fn unreadable(&self) -> Vec<ImageId> {
        self.damaged.to_vec()
    }
}

impl Drop for SledRegistry {
    /// Waits until what was being written is on disk.
    fn drop(&mut self) {
        drop(self.writes.take());
        if let Some(thread) = self.thread.take() {
            // A commit thread that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::super::conformance;
    use super::*;

    fn options(folder: &Path) -> SledOptions {
        SledOptions {
            folder: folder.to_owned(),
            cache_bytes: 8 << 20,
            flush_limit: Duration::from_secs(15),
            owner_limits: conformance::OWNER_LIMITS,
        }
    }

    fn open(folder: &Path) -> SledRegistry {
        SledRegistry::open(&options(folder)).unwrap()
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
        let second = SledRegistry::open(&options(folder.path()));
        assert!(matches!(second.err(), Some(OpenError::InUse { .. })));
    }
}
