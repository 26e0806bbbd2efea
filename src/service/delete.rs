//! Deleting an image.

use std::sync::Arc;

use super::modify::modify;
use super::{Service, authorize, authorize_any, forbidden, meets, not_found, now_after};
use crate::error::{Kind, Result};
use crate::image::{Caller, Conditions, Image, ImageId, ImageOperation, Status, Trashed};
use crate::policy::Action;
use crate::registry::Record;

impl Service {
    /// Deletes an image. The registry says so first; its data are removed after that, by
    /// the cleaner, until it succeeds (CVE-2012-4573). The conditions are judged on the
    /// version of the record that is replaced.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden` for a protected image, one that waits for the scrubber, and
    /// one that is somebody else's; `PreconditionFailed`.
    pub async fn delete(
        &self,
        caller: &Caller,
        id: &ImageId,
        conditions: &Conditions,
    ) -> Result<()> {
        authorize_any(caller, ImageOperation::Change)?;
        let deleted = modify(id, async || {
            let record = self
                .find_permitted(&[Action::DeleteImage], caller, id)
                .await?;
            let image = self.deleted(caller, &record.image)?;
            meets(&record.image, conditions)?;
            match self.registry.replace(image, record.version).await {
                Err(error) if error.kind() == Kind::TooLarge => {
                    self.delete_full(caller, &record).await
                }
                written => written,
            }
        });
        let record = deleted.await?;
        if let Some(cache) = &self.cache {
            cache.forget(id);
        }
        self.remove_remains(&record.image);
        Ok(())
    }

    /// Deletes an image whose record has no room for what is set aside: an earlier release or
    /// another service has filled it. It must be possible to delete every image.
    async fn delete_full(&self, caller: &Caller, record: &Record) -> Result<Arc<Record>> {
        tracing::warn!(
            image_id = %record.image.id,
            "the image is deleted without keeping its properties and members for a restoration: \
             its record has no room for them"
        );
        let mut image = self.deleted(caller, &record.image)?;
        image.trashed = None;
        self.registry.replace(image, record.version).await
    }

    /// The image as a deletion leaves it. Whoever sees it is told what keeps it from being
    /// deleted, before being told that it is not theirs: the order of Glance.
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
        let waits = self.limits.delayed_delete && current.data.is_some();
        let trashed = Trashed {
            properties: std::mem::take(&mut image.properties),
            members: std::mem::take(&mut image.members),
        };
        image.status = Status::Deleted;
        if waits {
            image.status = Status::PendingDelete;
            image.trashed = Some(Box::new(trashed));
        }
        image.updated_at = now_after(current.updated_at);
        image.deleted_at = Some(image.updated_at);
        Ok(image)
    }

    /// An upload under way removes what it wrote itself, once it is told to stop.
    fn remove_remains(&self, image: &Image) {
        let upload = image.upload.as_ref();
        let stopped = upload.is_some_and(|upload| self.active_uploads.stop(&upload.id));
        if image.has_remains() && !stopped {
            self.cleaner.clean(image.id);
        }
    }
}
