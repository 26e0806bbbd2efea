//! The queue of images that operators have asked to cache in advance, first come, first served.
//!
//! The queue survives a restart: each entry is an empty file. An entry stays in the queue while a
//! prefetcher works on it, so a crash does not lose it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::folder::CacheFolder;
use crate::error::{Error, Result};
use crate::image::ImageId;
use crate::transfer::BlockingPool;

/// The queue of images to prefetch.
#[derive(Debug)]
pub struct PrefetchQueue {
    folder: Arc<CacheFolder>,
    blocking: BlockingPool,
    list: Mutex<List>,
    /// Held while the folder is changed, so that it sees changes in the order of the list.
    writing: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Debug)]
struct List {
    entries: Vec<QueueEntry>,
    /// The sequence number of the next entry; numbers are never reused.
    next_sequence: u64,
}

#[derive(Debug)]
struct QueueEntry {
    sequence: u64,
    image: ImageId,
    is_claimed: bool,
}

/// A queued image that one prefetcher has claimed. It stays in the queue until it is removed; when
/// this is dropped, another prefetcher may claim it.
#[derive(Debug)]
pub struct QueuedImage<'a> {
    queue: &'a PrefetchQueue,
    /// Distinguishes the entry from a later one of the same image.
    sequence: u64,
    image: ImageId,
}

impl PrefetchQueue {
    pub(super) fn new(
        folder: Arc<CacheFolder>,
        blocking: BlockingPool,
        queued: Vec<(u64, ImageId)>,
    ) -> Self {
        let next_sequence = queued.last().map_or(0, |(last, _)| last + 1);
        let entries = queued.into_iter().map(|(sequence, image)| QueueEntry {
            sequence,
            image,
            is_claimed: false,
        });
        Self {
            folder,
            blocking,
            list: Mutex::new(List {
                entries: entries.collect(),
                next_sequence,
            }),
            writing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Returns the queued images in their order.
    pub fn images(&self) -> Vec<ImageId> {
        let list = self.lock();
        list.entries.iter().map(|entry| entry.image).collect()
    }

    /// Appends an image unless it is queued already.
    ///
    /// # Errors
    /// `Internal` if the entry cannot be written to disk.
    pub async fn add(&self, image: ImageId) -> Result<()> {
        let _lock = self.writing.lock().await;
        let sequence = {
            let mut list = self.lock();
            if list.entries.iter().any(|entry| entry.image == image) {
                return Ok(());
            }
            let sequence = list.next_sequence;
            list.next_sequence += 1;
            list.entries.push(QueueEntry {
                sequence,
                image,
                is_claimed: false,
            });
            sequence
        };
        // The list is changed before the disk: if the disk fails, the image is prefetched all the
        // same, but not after a restart.
        let written = self
            .on_disk(move |folder| folder.enqueue(sequence, image))
            .await;
        self.changed.notify_waiters();
        written
    }

    /// Removes an image. Returns true if it was queued.
    ///
    /// # Errors
    /// `Internal` if the entry cannot be removed from disk.
    pub async fn remove(&self, image: ImageId) -> Result<bool> {
        let _lock = self.writing.lock().await;
        let removed = {
            let mut list = self.lock();
            let mut entries = list.entries.iter();
            let index = entries.position(|entry| entry.image == image);
            index.map(|index| list.entries.remove(index))
        };
        let Some(QueueEntry {
            sequence, image, ..
        }) = removed
        else {
            return Ok(false);
        };
        self.on_disk(move |folder| folder.dequeue(sequence, image))
            .await?;
        Ok(true)
    }

    /// Removes all images, and returns how many there were.
    ///
    /// # Errors
    /// As [`PrefetchQueue::remove`].
    pub async fn clear(&self) -> Result<usize> {
        let mut count = 0;
        for image in self.images() {
            count += usize::from(self.remove(image).await?);
        }
        Ok(count)
    }

    /// Waits for the first unclaimed image, and claims it.
    pub async fn next(&self) -> QueuedImage<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Enabled before the list is checked, so that a change in between is not missed.
            changed.as_mut().enable();
            if let Some(claimed) = self.claim() {
                return claimed;
            }
            changed.await;
        }
    }

    fn claim(&self) -> Option<QueuedImage<'_>> {
        let mut list = self.lock();
        let mut entries = list.entries.iter_mut();
        let first = entries.find(|entry| !entry.is_claimed)?;
        first.is_claimed = true;
        Some(QueuedImage {
            queue: self,
            sequence: first.sequence,
            image: first.image,
        })
    }

    async fn on_disk(
        &self,
        change: impl FnOnce(&CacheFolder) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        let changed = self.blocking.run(move || change(&folder)).await;
        changed.map_err(Error::internal)
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // The list is consistent between two calls, also if another thread has panicked.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuedImage<'_> {
    /// Returns the image's identifier.
    pub fn image(&self) -> ImageId {
        self.image
    }
}

impl Drop for QueuedImage<'_> {
    fn drop(&mut self) {
        let mut list = self.queue.lock();
        let mut entries = list.entries.iter_mut();
        if let Some(entry) = entries.find(|entry| entry.sequence == self.sequence) {
            entry.is_claimed = false;
            self.queue.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::BlockingThreads;

    /// Runs `act` with a queue in a temporary folder. The threads are joined outside the runtime.
    fn with_queue(act: impl AsyncFnOnce(&PrefetchQueue)) {
        let dir = tempfile::tempdir().unwrap();
        let folder = CacheFolder::open(dir.path()).unwrap();
        let threads = BlockingThreads::start(1).unwrap();
        let queue = PrefetchQueue::new(Arc::new(folder), threads.handle(), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(act(&queue));
    }

    #[test]
    fn an_entry_is_claimed_once_at_a_time() {
        with_queue(async |queue| {
            let images = [ImageId::random(), ImageId::random()];
            for image in images {
                queue.add(image).await.unwrap();
                queue.add(image).await.unwrap();
            }
            let (first, second) = (queue.next().await, queue.next().await);
            assert_eq!([first.image(), second.image()], images);
            assert!(queue.claim().is_none());
            drop(first);
            assert_eq!(queue.next().await.image(), images[0]);
            assert!(queue.remove(images[1]).await.unwrap());
            // An image that is queued again is another entry, and can be claimed.
            queue.add(images[1]).await.unwrap();
            queue.remove(images[0]).await.unwrap();
            let again = queue.next().await;
            assert_eq!(again.image(), images[1]);
            drop(second);
            assert!(queue.claim().is_none());
            assert_eq!(queue.images(), [images[1]]);
        });
    }

    #[test]
    fn waiting_prefetchers_are_woken() {
        with_queue(async |queue| {
            let images = [ImageId::random(), ImageId::random()];
            let (first, second, ()) = tokio::join!(queue.next(), queue.next(), async {
                tokio::task::yield_now().await;
                for image in images {
                    queue.add(image).await.unwrap();
                }
            });
            assert_eq!([first.image(), second.image()], images);
        });
    }
}
