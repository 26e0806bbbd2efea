//! Eviction: images leave the cache before others are added, never afterwards.
//!
//! Reserving space may evict images; the filler calls [`Cache::enforce_limits`] now and then,
//! since other programs use the same disk. An image that is being read is not evicted for space.

use std::fs::File;
use std::sync::{Arc, Weak};

use tokio::sync::MutexGuard;

use super::accounting::Reservation;
use super::entry_name::EntryName;
use super::image_cache::Cache;
use crate::image::ImageId;
use crate::metrics::{self, Eviction};

impl Cache {
    /// Reserves space for a fill, evicting images if necessary. Returns false if there is too
    /// little space. The caller holds the eviction lock until its file has allocated the space.
    pub(super) async fn reserve(&self, bytes: u64, _lock: &MutexGuard<'_, ()>) -> bool {
        loop {
            // Checked again after each eviction, because it waits for the disk: a successor may
            // have taken the folder meanwhile.
            if self.is_retired() {
                return false;
            }
            let reservation = {
                // Measured again after each eviction, since removals and other programs change it.
                let free_bytes = self.usable_bytes();
                self.accounting().reserve(bytes, free_bytes)
            };
            match reservation {
                Reservation::Granted => return true,
                Reservation::NoSpace => return false,
                Reservation::Evict(name) => self.evict(name).await,
            }
        }
    }

    /// Evicts images until the limits hold. They may be exceeded because other programs have
    /// filled the disk, or because a restart has lowered `image_cache_max_size`.
    pub(super) async fn enforce_limits(&self) {
        let _lock = self.eviction_lock().lock().await;
        while !self.is_retired() {
            let free_bytes = self.folder().free_bytes().unwrap_or(u64::MAX);
            let lacking = self.options().min_free_bytes.saturating_sub(free_bytes);
            let reservation = self.accounting().find_excess(lacking);
            match reservation {
                Reservation::Evict(name) => self.evict(name).await,
                Reservation::Granted | Reservation::NoSpace => return,
            }
        }
    }

    /// Returns how many bytes of the disk the cache may still use.
    fn usable_bytes(&self) -> u64 {
        match self.folder().free_bytes() {
            Ok(free) => free.saturating_sub(self.options().min_free_bytes),
            Err(error) => {
                tracing::error!(%error, "cannot determine the free space of the image cache's disk");
                0
            }
        }
    }

    /// Removes the file of an image that is no longer in the accounting's list.
    async fn evict(&self, name: EntryName) {
        tracing::debug!(image_id = %name.image, bytes = name.size_bytes, "evicting an image from the cache");
        let (folder, removed) = (Arc::clone(self.folder()), name.clone());
        let removal = self.blocking().run(move || folder.remove(&removed)).await;
        match removal {
            Ok(()) => self.accounting().removed(&name, &Weak::new()),
            // The file still exists, so it stays counted. The next start finds it again.
            Err(error) => {
                tracing::error!(image_id = %name.image, %error, "cannot remove a cached image");
            }
        }
        metrics::cache_evicted(Eviction::Room);
    }

    /// Removes an image from the cache: later requests find neither its file nor its running fill.
    /// Returns true if it was cached.
    pub fn forget(&self, image: &ImageId) -> bool {
        // The fill first: if it publishes its file before this line, the entry is found below; if
        // after, it finds itself cancelled and removes the file.
        self.accounting().cancel_fill(image);
        self.drop_entry(image, Eviction::Deleted, |_| true)
    }

    /// Removes a cached image whose file is missing or was changed.
    pub(super) fn drop_damaged(&self, name: &EntryName) {
        tracing::warn!(image_id = %name.image, "a cached image is missing or was changed; dropping it");
        self.drop_entry(&name.image, Eviction::Damaged, |cached| cached == name);
    }

    /// Removes all images from the cache, and returns how many there were.
    pub fn forget_all(&self) -> usize {
        let images: Vec<_> = self.images();
        let forgotten = images.iter().filter(|cached| self.forget(&cached.image));
        forgotten.count()
    }

    /// Removes a cached image and, in the background, its file. Readers that have the file open
    /// continue; the file stays counted until they close it.
    fn drop_entry(
        &self,
        image: &ImageId,
        reason: Eviction,
        is_same: impl FnOnce(&EntryName) -> bool,
    ) -> bool {
        let (name, file) = {
            let mut accounting = self.accounting();
            let entry = accounting.get(image).filter(|entry| is_same(&entry.name));
            let Some(file) = entry.map(|entry| entry.file_ref()) else {
                return false;
            };
            match accounting.remove_entry(image) {
                Some(name) => (name, file),
                None => return false,
            }
        };
        let cache = self.clone();
        self.blocking().start(move || {
            cache.folder().remove(&name)?;
            cache.accounting().removed(&name, &file);
            Ok(())
        });
        metrics::cache_evicted(reason);
        true
    }

    /// Releases the reservation of a failed fill, whose file is counted until it is closed.
    pub(super) fn release_reservation(&self, bytes: u64, file: &Weak<File>) {
        self.accounting().release_reservation(bytes, file);
    }
}
