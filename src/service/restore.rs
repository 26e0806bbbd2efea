//! Restoring an image whose deletion is delayed.

use super::Service;
use super::clock::now_after;
use super::errors::not_found;
use super::modify::modify;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Status};

impl Service {
    /// Makes an image in `pending_delete` active again, with the properties and members it had. For
    /// operators: checks no permissions.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` in any other status; `TooLarge` if the owner's quota of images is
    /// reached.
    pub async fn restore(&self, id: &ImageId) -> Result<()> {
        let restored = modify(id, async || {
            let record = self.catalog.registry.get(id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            let image = restored(&record.image)?;
            self.catalog.registry.replace(image, record.version).await
        });
        restored.await?;
        tracing::info!(image_id = %id, "image restored");
        Ok(())
    }
}

fn restored(current: &Image) -> Result<Image> {
    if current.status != Status::PendingDelete {
        let message = format!(
            "cannot restore the image from {} to active (wanted from_state=pending_delete)",
            current.status.as_str()
        );
        return Err(Error::new(Kind::Conflict, message));
    }
    let mut image = current.clone();
    if let Some(trashed) = image.trashed.take() {
        image.properties = trashed.properties;
        image.members = trashed.members;
    }
    image.status = Status::Active;
    image.deleted_at = None;
    image.updated_at = now_after(current.updated_at);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Member, Timestamp, Trashed};

    fn image(status: Status) -> Image {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
        image.status = status;
        image.deleted_at = Some(Timestamp::from_micros(5_000_000));
        image
    }

    #[test]
    fn restore_returns_properties_and_members() {
        let mut pending = image(Status::PendingDelete);
        let member = Member::new("t", true, Timestamp::from_micros(1));
        pending.trashed = Some(Box::new(Trashed {
            properties: [("os".to_owned(), Some("linux".to_owned()))].into(),
            members: vec![member.clone()],
        }));
        let restored = restored(&pending).unwrap();
        assert_eq!(restored.status, Status::Active);
        assert_eq!(restored.deleted_at, None);
        assert_eq!(restored.properties["os"].as_deref(), Some("linux"));
        assert_eq!(restored.members, [member]);
        assert_eq!(restored.trashed, None);
        assert!(restored.updated_at > pending.updated_at);
    }

    #[test]
    fn restore_refuses_every_other_status() {
        for status in Status::ALL {
            if status != Status::PendingDelete {
                let refused = restored(&image(status)).unwrap_err();
                assert_eq!(refused.kind(), Kind::Conflict, "{status:?}");
            }
        }
    }
}
