//! The file of a fill, from its room to its name.

use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};

use uuid::Uuid;

use super::accounting::cost_of;
use super::fill::Fill;
use super::image_cache::{Cache, now_us};
use crate::image::Md5Digest;

/// The file of one attempt; dropped, it is removed.
pub(super) struct StagedFile {
    cache: Cache,
    id: Uuid,
    file: Arc<File>,
    /// What it is counted with.
    bytes: u64,
    has_name: bool,
}

impl StagedFile {
    /// A file with room for an image; `None` when there is none.
    pub(super) async fn new(cache: &Cache, size_bytes: u64) -> Option<Self> {
        let bytes = cost_of(size_bytes);
        // Held until the file has its room: what is free on the disk must not be promised
        // twice.
        let turn = cache.eviction_lock().lock().await;
        if !cache.reserve(bytes, &turn).await {
            return None;
        }
        let (folder, id) = (Arc::clone(cache.folder()), Uuid::new_v4());
        let stage = move || folder.stage(id, size_bytes);
        match cache.blocking().run(stage).await {
            Ok(file) => Some(Self {
                cache: cache.clone(),
                id,
                file: Arc::new(file),
                bytes,
                has_name: false,
            }),
            Err(error) => {
                tracing::warn!(%error, bytes, "the image cache's disk has no room");
                cache.release_reservation(bytes, &Weak::new());
                None
            }
        }
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Gives the file its name, unless its image was forgotten meanwhile or the folder is a
    /// successor's. Whether it is kept.
    pub(super) async fn publish(mut self, fill: &Arc<Fill>, digest: Md5Digest) -> io::Result<bool> {
        if self.cache.is_retired() || !self.cache.accounting().is_current_fill(fill) {
            return Ok(false);
        }
        let (folder, file) = (Arc::clone(self.cache.folder()), Arc::clone(&self.file));
        let (id, image) = (self.id, fill.source.image);
        let publish = move || folder.publish(id, &file, image, digest);
        let name = self.cache.blocking().run(publish).await?;
        self.has_name = true;
        let watch = Arc::downgrade(&self.file);
        {
            let mut accounting = self.cache.accounting();
            if accounting.unregister_fill(fill) {
                accounting.settle(self.bytes, name, &watch, now_us());
                return Ok(true);
            }
        }
        // It was forgotten while it got its name.
        let (cache, bytes) = (self.cache.clone(), self.bytes);
        self.cache.blocking().start(move || {
            cache.folder().remove(&name)?;
            cache.release_reservation(bytes, &watch);
            Ok(())
        });
        Ok(false)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if self.has_name {
            return;
        }
        let (cache, id, bytes) = (self.cache.clone(), self.id, self.bytes);
        let file = Arc::downgrade(&self.file);
        self.cache.blocking().start(move || {
            cache.folder().discard(id)?;
            cache.release_reservation(bytes, &file);
            Ok(())
        });
    }
}
