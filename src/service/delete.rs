//! Deleting an image.
//!
//! The registry records the deletion first. The data are removed afterwards, by the upload that
//! still writes them, by the cleaner, or, with delayed deletion, by the scrubber.

use std::sync::Arc;

use super::Service;
use super::clock::now_after;
use super::errors::{authorize, authorize_any, check_conditions, forbidden, not_found};
use super::modify::modify;
use crate::error::{Kind, Result};
use crate::image::{Caller, Conditions, Image, ImageId, ImageOperation, Status, Trashed};
use crate::policy::Action;
use crate::registry::Record;

impl Service {
    /// Deletes an image. Its data are removed in the background, with retries until that succeeds
    /// (CVE-2012-4573). The conditions are checked on the version of the record that is replaced.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` for a protected image, one in `pending_delete`, and one that the
    /// caller does not own; `PreconditionFailed`.
    pub async fn delete(
        &self,
        caller: &Caller,
        id: &ImageId,
        conditions: &Conditions,
    ) -> Result<()> {
        authorize_any(caller, ImageOperation::Change)?;
        let deleted = modify(id, async || {
            let record = self
                .catalog
                .find_permitted(&[Action::DeleteImage], caller, id)
                .await?;
            let image = self.deleted(caller, &record.image)?;
            check_conditions(&record.image, conditions)?;
            match self.catalog.registry.replace(image, record.version).await {
                // Saving the properties has made the record larger than a record may be.
                Err(error) if error.kind() == Kind::TooLarge => {
                    self.delete_full(caller, &record).await
                }
                written => written,
            }
        });
        let record = deleted.await?;
        // After the record, so that a concurrent download does not fill the cache again.
        if let Some(cache) = &self.cache {
            cache.forget(id);
        }
        self.remove_remains(&record.image);
        Ok(())
    }

    /// Deletes an image whose record cannot hold the saved properties, because an earlier release
    /// or another service has filled it. It must be possible to delete every image.
    async fn delete_full(&self, caller: &Caller, record: &Record) -> Result<Arc<Record>> {
        tracing::warn!(
            image_id = %record.image.id,
            "image deleted without saving its properties and members: its record is full, so a \
             restore will not bring them back"
        );
        let mut image = self.deleted(caller, &record.image)?;
        image.trashed = None;
        self.catalog.registry.replace(image, record.version).await
    }

    /// Returns the image as it is after its deletion. The order of the checks is Glance's: a caller
    /// that can see the image learns that it is protected before it learns that it does not own it.
    fn deleted(&self, caller: &Caller, current: &Image) -> Result<Image> {
        match current.status {
            Status::Deleted => return Err(not_found(current.id)),
            _ if current.protected => return Err(forbidden("Image is protected")),
            Status::PendingDelete => {
                let message = format!("Forbidden to delete a pending_delete image: {}", current.id);
                return Err(forbidden(message));
            }
            _ => authorize(caller, ImageOperation::Change, current)?,
        }
        let mut image = current.clone();
        let is_delayed = self.catalog.limits.delayed_delete && current.data.is_some();
        let trashed = Trashed {
            properties: std::mem::take(&mut image.properties),
            members: std::mem::take(&mut image.members),
        };
        image.status = Status::Deleted;
        if is_delayed {
            image.status = Status::PendingDelete;
            image.trashed = Some(Box::new(trashed));
        }
        image.updated_at = now_after(current.updated_at);
        image.deleted_at = Some(image.updated_at);
        Ok(image)
    }

    /// Stops the image's upload, which then removes its own bytes. Without one, has the cleaner
    /// remove the data.
    fn remove_remains(&self, image: &Image) {
        let upload = image.upload.as_ref();
        let is_stopped = upload.is_some_and(|upload| self.uploads.active.stop(&upload.id));
        if image.has_remains() && !is_stopped {
            self.uploads.cleaner.clean(image.id);
        }
    }
}
