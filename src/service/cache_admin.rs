//! The cache management API: listing, removing and queueing cached images.
//!
//! Every verb requires the policy action `manage_image_cache`, and returns `NotFound` on a node
//! without a cache.

use super::Service;
use crate::cache::{Cache, CachedImage};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, ImageId};
use crate::policy::Action;

impl Service {
    /// Returns the cached images.
    ///
    /// # Errors
    /// `Forbidden` by the policy; `NotFound` on a node without a cache.
    pub fn cached_images(&self, caller: &Caller) -> Result<Vec<CachedImage>> {
        Ok(self.managed(caller)?.images())
    }

    /// Removes an image from the cache. Succeeds if the image is not cached.
    ///
    /// # Errors
    /// As [`Service::cached_images`].
    pub fn delete_cached(&self, caller: &Caller, id: &ImageId) -> Result<()> {
        self.managed(caller)?.forget(id);
        Ok(())
    }

    /// Removes all images from the cache. Returns how many there were.
    ///
    /// # Errors
    /// As [`Service::cached_images`].
    pub fn delete_all_cached(&self, caller: &Caller) -> Result<usize> {
        Ok(self.managed(caller)?.forget_all())
    }

    /// Returns the images in the prefetch queue, in order.
    ///
    /// # Errors
    /// As [`Service::cached_images`].
    pub fn queued_images(&self, caller: &Caller) -> Result<Vec<ImageId>> {
        Ok(self.managed(caller)?.queue().images())
    }

    /// Appends an image to the prefetch queue, unless it is cached. The prefetcher checks later
    /// that the image exists.
    ///
    /// # Errors
    /// As [`Service::cached_images`]; `Internal` if the queue cannot be written to disk.
    pub async fn queue_image(&self, caller: &Caller, id: ImageId) -> Result<()> {
        let cache = self.managed(caller)?;
        match cache.contains(&id) {
            true => Ok(()),
            false => cache.queue().add(id).await,
        }
    }

    /// Removes an image from the prefetch queue. Succeeds if the image is not queued.
    ///
    /// # Errors
    /// As [`Service::queue_image`].
    pub async fn delete_queued(&self, caller: &Caller, id: ImageId) -> Result<()> {
        self.managed(caller)?.queue().remove(id).await?;
        Ok(())
    }

    /// Empties the prefetch queue. Returns how many images there were.
    ///
    /// # Errors
    /// As [`Service::queue_image`].
    pub async fn delete_all_queued(&self, caller: &Caller) -> Result<usize> {
        self.managed(caller)?.queue().clear().await
    }

    /// Returns the cache for a caller that may manage it.
    fn managed(&self, caller: &Caller) -> Result<&Cache> {
        let authorization = self.catalog.authorization();
        authorization.enforce(Action::ManageImageCache, caller, None)?;
        let none = || Error::new(Kind::NotFound, "This node has no image cache.");
        self.cache.as_ref().ok_or_else(none)
    }
}
