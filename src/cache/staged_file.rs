//! The file of a fill, from the reservation of its space to its publication.
//!
//! Either the file is published and becomes a cached image, or it is removed and its reservation
//! released. Both happen exactly once, also if the fill is dropped in the middle.

use std::fs::File;
use std::io;
use std::sync::{Arc, Weak};

use uuid::Uuid;

use super::accounting::cost_of;
use super::fill::Fill;
use super::image_cache::{Cache, now_us};
use crate::image::Md5Digest;

/// The file of one download. Dropped without [`StagedFile::publish`], it is removed.
pub(super) struct StagedFile {
    cache: Cache,
    id: Uuid,
    file: Arc<File>,
    /// The reserved space.
    bytes: u64,
    is_published: bool,
}

impl StagedFile {
    /// Creates a file with space for an image. Returns `None` if there is too little space.
    pub(super) async fn new(cache: &Cache, size_bytes: u64) -> Option<Self> {
        let bytes = cost_of(size_bytes);
        // Held until the file has allocated its space: another fill must not see the same disk
        // space as free.
        let lock = cache.eviction_lock().lock().await;
        if !cache.reserve(bytes, &lock).await {
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
                is_published: false,
            }),
            Err(error) => {
                tracing::warn!(%error, bytes, "the image cache's disk is full");
                cache.release_reservation(bytes, &Weak::new());
                None
            }
        }
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Publishes the file as a cached image. Returns false if it was discarded instead, because the
    /// image was removed from the cache meanwhile or a successor process owns the folder.
    ///
    /// # Errors
    /// The error of the disk; the file is removed.
    pub(super) async fn publish(mut self, fill: &Arc<Fill>, digest: Md5Digest) -> io::Result<bool> {
        if self.cache.is_retired() || !self.cache.accounting().is_current_fill(fill) {
            return Ok(false);
        }
        let (folder, file) = (Arc::clone(self.cache.folder()), Arc::clone(&self.file));
        let (id, image) = (self.id, fill.source.image);
        let publish = move || folder.publish(id, &file, image, digest);
        let name = self.cache.blocking().run(publish).await?;
        self.is_published = true;
        let file_ref = Arc::downgrade(&self.file);
        {
            // Checked again under the lock: the image may have been removed from the cache during
            // the rename. That removal found no entry, so the file is deleted here.
            let mut accounting = self.cache.accounting();
            if accounting.unregister_fill(fill) {
                accounting.convert_reservation(self.bytes, name, &file_ref, now_us());
                return Ok(true);
            }
        }
        let (cache, bytes) = (self.cache.clone(), self.bytes);
        self.cache.blocking().start(move || {
            cache.folder().remove(&name)?;
            cache.release_reservation(bytes, &file_ref);
            Ok(())
        });
        Ok(false)
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // Published: the entry or the discarding task owns the file now.
        if self.is_published {
            return;
        }
        let (cache, id, bytes) = (self.cache.clone(), self.id, self.bytes);
        let file = Arc::downgrade(&self.file);
        self.cache.blocking().start(move || {
            // The reservation is released only after the file was removed, since its blocks are in
            // use until then.
            cache.folder().discard(id)?;
            cache.release_reservation(bytes, &file);
            Ok(())
        });
    }
}
