//! What operators see and change of the image cache.

use super::Service;
use crate::cache::{Cache, CachedImage};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, ImageId};
use crate::policy::Action;

impl Service {
    /// The kept images.
    ///
    /// # Errors
    /// `Forbidden` by the policy; `NotFound` on a node that keeps none, as for all of these.
    pub fn cached_images(&self, caller: &Caller) -> Result<Vec<CachedImage>> {
        Ok(self.managed(caller)?.images())
    }

    /// Forgets a kept image; one that is not kept is as good as forgotten.
    ///
    /// # Errors
    /// As [`Service::cached_images`].
    pub fn delete_cached(&self, caller: &Caller, id: &ImageId) -> Result<()> {
        self.managed(caller)?.forget(id);
        Ok(())
    }

    /// Forgets all kept images; how many there were.
    ///
    /// # Errors
    /// As [`Service::cached_images`].
    pub fn delete_all_cached(&self, caller: &Caller) -> Result<usize> {
        Ok(self.managed(caller)?.forget_all())
    }

    /// The images that wait to be fetched, in order.
    ///
    /// # Errors
    /// As [`Service::cached_images`].
    pub fn queued_images(&self, caller: &Caller) -> Result<Vec<ImageId>> {
        Ok(self.managed(caller)?.queue().images())
    }

    /// Has an image fetched when its turn comes, unless it is kept. Whether there is such an
    /// image is found out then.
    ///
    /// # Errors
    /// As [`Service::cached_images`]; `Internal` when the queue's disk fails.
    pub async fn queue_image(&self, caller: &Caller, id: ImageId) -> Result<()> {
        let cache = self.managed(caller)?;
        match cache.contains(&id) {
            true => Ok(()),
            false => cache.queue().add(id).await,
        }
    }

    /// Takes an image off the queue; one that is not in it is as good as taken off.
    ///
    /// # Errors
    /// As [`Service::queue_image`].
    pub async fn delete_queued(&self, caller: &Caller, id: ImageId) -> Result<()> {
        self.managed(caller)?.queue().remove(id).await?;
        Ok(())
    }

    /// Takes all images off the queue; how many there were.
    ///
    /// # Errors
    /// As [`Service::queue_image`].
    pub async fn delete_all_queued(&self, caller: &Caller) -> Result<usize> {
        self.managed(caller)?.queue().clear().await
    }

    fn managed(&self, caller: &Caller) -> Result<&Cache> {
        self.enforce(Action::ManageImageCache, caller, None)?;
        let none = || Error::new(Kind::NotFound, "This node has no image cache.");
        self.cache.as_ref().ok_or_else(none)
    }
}
