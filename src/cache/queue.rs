//! Images that are to be fetched before anybody asks for them, first come first served. The
//! queue survives the process.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::folder::CacheFolder;
use crate::error::{Error, Result};
use crate::image::ImageId;
use crate::transfer::Blocking;

/// The queue.
#[derive(Debug)]
pub struct Queue {
    folder: Arc<CacheFolder>,
    blocking: Blocking,
    waiting: Mutex<Vec<(u64, ImageId)>>,
    came: Notify,
}

impl Queue {
    pub(super) fn new(
        folder: Arc<CacheFolder>,
        blocking: Blocking,
        waiting: Vec<(u64, ImageId)>,
    ) -> Self {
        Self {
            folder,
            blocking,
            waiting: Mutex::new(waiting),
            came: Notify::new(),
        }
    }

    /// The queued images, in order.
    pub fn images(&self) -> Vec<ImageId> {
        self.lock().iter().map(|(_, image)| *image).collect()
    }

    /// Puts an image at the end, unless it is in the queue.
    ///
    /// # Errors
    /// `Internal` when the disk does not take it.
    pub async fn add(&self, image: ImageId) -> Result<()> {
        let at = {
            let mut waiting = self.lock();
            if waiting.iter().any(|(_, queued)| *queued == image) {
                return Ok(());
            }
            let at = waiting.last().map_or(0, |(last, _)| last + 1);
            waiting.push((at, image));
            at
        };
        let noted = self.on_disk(move |folder| folder.enqueue(at, image)).await;
        self.came.notify_one();
        noted
    }

    /// Takes an image off. Whether it was queued.
    ///
    /// # Errors
    /// `Internal` when the disk does not forget it.
    pub async fn remove(&self, image: ImageId) -> Result<bool> {
        let removed = {
            let mut waiting = self.lock();
            let place = waiting.iter().position(|(_, queued)| *queued == image);
            place.map(|place| waiting.remove(place))
        };
        let Some((at, image)) = removed else {
            return Ok(false);
        };
        self.on_disk(move |folder| folder.dequeue(at, image))
            .await?;
        Ok(true)
    }

    /// Takes all off; how many there were.
    ///
    /// # Errors
    /// As [`Queue::remove`].
    pub async fn clear(&self) -> Result<usize> {
        let mut count = 0;
        for image in self.images() {
            count += usize::from(self.remove(image).await?);
        }
        Ok(count)
    }

    /// Waits for the first image. It stays in the queue until it is removed.
    pub async fn first(&self) -> ImageId {
        loop {
            let came = self.came.notified();
            if let Some((_, image)) = self.lock().first() {
                return *image;
            }
            came.await;
        }
    }

    async fn on_disk(
        &self,
        change: impl FnOnce(&CacheFolder) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let folder = Arc::clone(&self.folder);
        let changed = self.blocking.run(move || change(&folder)).await;
        changed.map_err(Error::internal)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, ImageId)>> {
        // A list is whole between two calls.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
