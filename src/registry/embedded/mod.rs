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
use crate::runtime;

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
        let committer = runtime::spawn("registry", move || committer.run(waiting));
        registry.committer = Some(committer.map_err(|error| OpenError::Thread(error.into()))?);
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
        // The order matters: the commit thread ends when its channel is closed, and only then is the
        // backlog complete that the sled writer writes before it ends.
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
mod tests;
