//! Images that are to be fetched before anybody asks for them, first come first served. The
//! queue survives the process.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::folder::CacheFolder;
use crate::error::{Error, Result};
use crate::image::ImageId;
use crate::transfer::BlockingPool;

/// The queue.
#[derive(Debug)]
pub struct PrefetchQueue {
    folder: Arc<CacheFolder>,
    blocking: BlockingPool,
    list: Mutex<List>,
    /// One at a time writes, so that the folder sees changes in the order of the list.
    writing: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Debug)]
struct List {
    waiting: Vec<Waiting>,
    /// The place of the next one, which nobody had before.
    next_at: u64,
}

#[derive(Debug)]
struct Waiting {
    at: u64,
    image: ImageId,
    is_taken: bool,
}

/// An image whose turn it is. It stays in the queue until it is removed; dropped, it is
/// anybody's again.
#[derive(Debug)]
pub struct QueuedImage<'a> {
    queue: &'a PrefetchQueue,
    /// Its place, which tells it from the same image queued anew.
    at: u64,
    image: ImageId,
}

impl PrefetchQueue {
    pub(super) fn new(
        folder: Arc<CacheFolder>,
        blocking: BlockingPool,
        queued: Vec<(u64, ImageId)>,
    ) -> Self {
        let next_at = queued.last().map_or(0, |(last, _)| last + 1);
        let waiting = queued.into_iter().map(|(at, image)| Waiting {
            at,
            image,
            is_taken: false,
        });
        Self {
            folder,
            blocking,
            list: Mutex::new(List {
                waiting: waiting.collect(),
                next_at,
            }),
            writing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The queued images, in order.
    pub fn images(&self) -> Vec<ImageId> {
        let list = self.lock();
        list.waiting.iter().map(|waiting| waiting.image).collect()
    }

    /// Puts an image at the end, unless it is in the queue.
    ///
    /// # Errors
    /// `Internal` when the disk does not take it.
    pub async fn add(&self, image: ImageId) -> Result<()> {
        let _one_at_a_time = self.writing.lock().await;
        let at = {
            let mut list = self.lock();
            if list.waiting.iter().any(|waiting| waiting.image == image) {
                return Ok(());
            }
            let at = list.next_at;
            list.next_at += 1;
            list.waiting.push(Waiting {
                at,
                image,
                is_taken: false,
            });
            at
        };
        let noted = self.on_disk(move |folder| folder.enqueue(at, image)).await;
        self.changed.notify_waiters();
        noted
    }

    /// Takes an image off. Whether it was queued.
    ///
    /// # Errors
    /// `Internal` when the disk does not forget it.
    pub async fn remove(&self, image: ImageId) -> Result<bool> {
        let _one_at_a_time = self.writing.lock().await;
        let removed = {
            let mut list = self.lock();
            let mut waiting = list.waiting.iter();
            let place = waiting.position(|waiting| waiting.image == image);
            place.map(|place| list.waiting.remove(place))
        };
        let Some(Waiting { at, image, .. }) = removed else {
            return Ok(false);
        };
        self.on_disk(move |folder| folder.dequeue(at, image))
            .await?;
        Ok(true)
    }

    /// Takes all off; how many there were.
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

    /// Waits for the first image that nobody has taken, and takes it.
    pub async fn next(&self) -> QueuedImage<'_> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some(turn) = self.take() {
                return turn;
            }
            changed.await;
        }
    }

    fn take(&self) -> Option<QueuedImage<'_>> {
        let mut list = self.lock();
        let mut waiting = list.waiting.iter_mut();
        let first = waiting.find(|waiting| !waiting.is_taken)?;
        first.is_taken = true;
        Some(QueuedImage {
            queue: self,
            at: first.at,
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
        // A list is whole between two calls.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueuedImage<'_> {
    /// The image.
    pub fn image(&self) -> ImageId {
        self.image
    }
}

impl Drop for QueuedImage<'_> {
    fn drop(&mut self) {
        let mut list = self.queue.lock();
        let mut waiting = list.waiting.iter_mut();
        if let Some(waiting) = waiting.find(|waiting| waiting.at == self.at) {
            waiting.is_taken = false;
            self.queue.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::BlockingThreads;

    /// Does something with a queue in a folder of its own, whose threads must not end in a
    /// runtime.
    fn with_queue(act: impl AsyncFnOnce(&PrefetchQueue)) {
        let dir = tempfile::tempdir().unwrap();
        let folder = CacheFolder::open(dir.path()).unwrap();
        let threads = BlockingThreads::start(1).unwrap();
        let queue = PrefetchQueue::new(Arc::new(folder), threads.handle(), Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(act(&queue));
    }

    #[test]
    fn each_image_is_one_turn_at_a_time() {
        with_queue(async |queue| {
            let images = [ImageId::random(), ImageId::random()];
            for image in images {
                queue.add(image).await.unwrap();
                queue.add(image).await.unwrap();
            }
            let (first, second) = (queue.next().await, queue.next().await);
            assert_eq!([first.image(), second.image()], images);
            assert!(queue.take().is_none());
            drop(first);
            assert_eq!(queue.next().await.image(), images[0]);
            assert!(queue.remove(images[1]).await.unwrap());
            // What is queued again is another entry, for somebody else.
            queue.add(images[1]).await.unwrap();
            queue.remove(images[0]).await.unwrap();
            let again = queue.next().await;
            assert_eq!(again.image(), images[1]);
            drop(second);
            assert!(queue.take().is_none());
            assert_eq!(queue.images(), [images[1]]);
        });
    }

    #[test]
    fn whoever_waits_is_woken() {
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
