//! Room for images: what has to leave leaves before anything comes.

use std::fs::File;
use std::sync::{Arc, Weak};

use tokio::sync::MutexGuard;

use super::books::Cache;
use super::name::EntryName;
use super::shelf::Room;
use crate::image::ImageId;
use crate::metrics::{self, Eviction};

impl Cache {
    /// Makes room for a fill and counts it, for the one whose turn it is. Whether there is
    /// room.
    pub(super) async fn take_room(&self, bytes: u64, _turn: &MutexGuard<'_, ()>) -> bool {
        loop {
            if self.is_retired() {
                return false;
            }
            let room = {
                let free_bytes = self.usable_bytes();
                self.shelf().take_room(bytes, free_bytes)
            };
            match room {
                Room::Taken => return true,
                Room::None => return false,
                Room::Evict(name) => self.evict(name).await,
            }
        }
    }

    /// Has images leave until the limits hold, which somebody else's files may have broken,
    /// or a limit that is smaller than before.
    pub(super) async fn keep_limits(&self) {
        let _one_at_a_time = self.making_room().lock().await;
        while !self.is_retired() {
            let free_bytes = self.folder().free_bytes().unwrap_or(u64::MAX);
            let lacking = self.options().min_free_bytes.saturating_sub(free_bytes);
            let room = self.shelf().find_room_for_others(lacking);
            match room {
                Room::Evict(name) => self.evict(name).await,
                Room::Taken | Room::None => return,
            }
        }
    }

    /// Bytes of the disk that the cache may still take.
    fn usable_bytes(&self) -> u64 {
        match self.folder().free_bytes() {
            Ok(free) => free.saturating_sub(self.options().min_free_bytes),
            Err(error) => {
                tracing::error!(%error, "the image cache cannot see how full its disk is");
                0
            }
        }
    }

    /// Removes the file of an image that was taken off the shelf.
    async fn evict(&self, name: EntryName) {
        tracing::debug!(image_id = %name.image, bytes = name.size_bytes, "leaves the image cache");
        let (folder, removed) = (Arc::clone(self.folder()), name.clone());
        let removal = self.blocking().run(move || folder.remove(&removed)).await;
        match removal {
            Ok(()) => self.shelf().removed(&name, &Weak::new()),
            // It goes on being counted, since it is still there; the next start finds it.
            Err(error) => tracing::error!(image_id = %name.image, %error, "cannot leave the cache"),
        }
        metrics::cache_evicted(Eviction::Room);
    }

    /// Forgets an image: nobody is given it any more, neither what is kept nor what is being
    /// filled. Whether there was something.
    pub fn forget(&self, image: &ImageId) -> bool {
        self.shelf().call_off(image);
        self.drop_kept(image, Eviction::Deleted, |_| true)
    }

    /// Forgets a kept image whose file is not what it was.
    pub(super) fn drop_damaged(&self, name: &EntryName) {
        tracing::warn!(image_id = %name.image, "a cached image is gone or was changed");
        self.drop_kept(&name.image, Eviction::Damaged, |kept| kept == name);
    }

    /// Forgets all kept images; how many there were.
    pub fn forget_all(&self) -> usize {
        let images: Vec<_> = self.images();
        let forgotten = images.iter().filter(|kept| self.forget(&kept.image));
        forgotten.count()
    }

    /// Takes a kept image off the shelf and has its file removed. Readers keep it until they
    /// are done, and so long it is counted.
    fn drop_kept(
        &self,
        image: &ImageId,
        reason: Eviction,
        is_it: impl FnOnce(&EntryName) -> bool,
    ) -> bool {
        let (name, file) = {
            let mut shelf = self.shelf();
            let kept = shelf.get(image).filter(|kept| is_it(&kept.name));
            let Some(file) = kept.map(|kept| kept.watch()) else {
                return false;
            };
            match shelf.take_off(image) {
                Some(name) => (name, file),
                None => return false,
            }
        };
        let cache = self.clone();
        self.blocking().start(move || {
            cache.folder().remove(&name)?;
            cache.shelf().removed(&name, &file);
            Ok(())
        });
        metrics::cache_evicted(reason);
        true
    }

    /// A fill has come to nothing: its file goes, and is counted until nobody reads it.
    pub(super) fn give_room_back(&self, bytes: u64, file: &Weak<File>) {
        self.shelf().release(bytes, file);
    }
}
