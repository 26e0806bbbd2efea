//! Room for images: what has to leave leaves before anything comes.

use std::fs::File;
use std::sync::{Arc, Weak};

use super::books::Cache;
use super::name::EntryName;
use super::shelf::Room;
use crate::image::ImageId;
use crate::metrics::{self, Eviction};

impl Cache {
    /// Makes room for a fill and counts it. Whether there is room.
    pub(super) async fn take_room(&self, bytes: u64) -> bool {
        let _one_at_a_time = self.making_room().lock().await;
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
        self.drop_kept(image, Eviction::Deleted)
    }

    /// Forgets all kept images; how many there were.
    pub fn forget_all(&self) -> usize {
        let images: Vec<_> = self.images();
        let forgotten = images.iter().filter(|kept| self.forget(&kept.image));
        forgotten.count()
    }

    /// Takes a kept image off the shelf and has its file removed. Readers keep it until they
    /// are done, and so long it is counted.
    pub(super) fn drop_kept(&self, image: &ImageId, reason: Eviction) -> bool {
        let (name, file) = {
            let mut shelf = self.shelf();
            let watch = shelf.get(image).map(|kept| kept.watch());
            match (shelf.take_off(image), watch) {
                (Some(name), Some(file)) => (name, file),
                _ => return false,
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
