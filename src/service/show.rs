//! Reading the record of one image.

use std::sync::Arc;

use super::catalog::Catalog;
use crate::error::Result;
use crate::image::{Caller, ImageId, can_see};
use crate::policy::Action;
use crate::registry::Record;

impl Catalog {
    /// Returns the same as [`Catalog::show`] if the registry has the record in memory and the
    /// caller may see all of it. `None` means unknown: use [`Catalog::show`].
    pub fn try_show(&self, caller: &Caller, id: &ImageId) -> Option<Arc<Record>> {
        let record = self.registry.try_get_cached(id)?;
        let (image, action) = (&record.image, Action::GetImage);
        let is_unchanged = can_see(caller, image)
            && self
                .authorization
                .enforce(action, caller, Some(image))
                .is_ok()
            && self.authorization.is_fully_visible(caller, image);
        is_unchanged.then_some(record)
    }

    /// Returns the record of an image, without the properties that the caller may not read.
    ///
    /// # Errors
    /// `NotFound` if there is no such image, with the same text if the caller may not see it;
    /// `Forbidden` by the policy.
    pub async fn show(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        let record = self.find_permitted(&[Action::GetImage], caller, id).await?;
        Ok(self.redact(caller, record))
    }

    /// Returns the record of an image whose data the caller may download.
    ///
    /// # Errors
    /// As [`Catalog::show`].
    pub async fn show_to_download(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        let actions = [Action::GetImage, Action::DownloadImage];
        let record = self.find_permitted(&actions, caller, id).await?;
        Ok(self.redact(caller, record))
    }
}
