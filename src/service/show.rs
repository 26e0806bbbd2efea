//! One image's metadata.

use std::sync::Arc;

use super::Service;
use crate::error::Result;
use crate::image::{Caller, ImageId, can_see};
use crate::policy::Action;
use crate::registry::Record;

impl Service {
    /// The same as [`Service::show`], but only when it needs no waiting and nothing of the
    /// record is protected from the caller. `None` says nothing.
    pub fn try_show(&self, caller: &Caller, id: &ImageId) -> Option<Arc<Record>> {
        let record = self.registry.try_get_cached(id)?;
        let image = &record.image;
        let is_shown = can_see(caller, image)
            && self.enforce(Action::GetImage, caller, Some(image)).is_ok()
            && self.is_fully_visible(caller, image);
        is_shown.then_some(record)
    }

    /// The record of an image that the caller may see, as far as it may.
    ///
    /// # Errors
    /// `NotFound` when there is none, with the same words as when it is not for the caller;
    /// `Forbidden` by the policy.
    pub async fn show(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        let record = self.find_permitted(&[Action::GetImage], caller, id).await?;
        Ok(self.redact(caller, record))
    }

    /// The same, of an image whose data the caller may have.
    ///
    /// # Errors
    /// As [`Service::show`].
    pub async fn show_to_download(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        let actions = [Action::GetImage, Action::DownloadImage];
        let record = self.find_permitted(&actions, caller, id).await?;
        Ok(self.redact(caller, record))
    }
}
