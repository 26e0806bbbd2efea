//! Creating, changing and deleting records by fields, as Glance's API servers do it.
//!
//! An API server decides status and location itself; the registry decides which of two concurrent
//! changes wins. API servers act as administrators, and so does every caller if no identity service
//! is configured. Other callers are users that reach the registry directly. They are held to the
//! rules of the image API and cannot set a field that only an API server can know
//! (`check_user_fields`).

use std::sync::Arc;

use super::RegistryService;
use super::checks::{
    check_step, check_user_fields, check_user_may_delete, keep_state, requested_status,
};
use crate::error::Result;
use crate::image::{Caller, Fields, Image, ImageData, ImageId, ImageOperation, Location, Status};
use crate::policy::Action;
use crate::registry::Record;
use crate::service::apply::{
    Purge, apply, check_fields, check_metadata_bytes, check_property_quota,
};
use crate::service::clock::{now, now_after};
use crate::service::errors::{authorize, authorize_any, invalid, not_found};
use crate::service::modify::modify;
use crate::service::update::check_immutable;

impl RegistryService {
    /// Creates an image in the requested status. Without one, an administrator's image is `active`,
    /// as in Glance, and another caller's is `queued`.
    ///
    /// # Errors
    /// `Invalid` for an unknown status; `Conflict` if the identifier exists; `Forbidden` for
    /// fields that only administrators set.
    pub async fn create(&self, caller: &Caller, mut fields: Fields) -> Result<Arc<Record>> {
        authorize_any(caller, ImageOperation::Create)?;
        let id = fields.id.unwrap_or_else(ImageId::random);
        let mut image = Image::queued(id, now());
        image.owner = caller.owner.clone();
        let status = requested_status(&fields)?;
        if caller.is_admin {
            image.status = status.unwrap_or(Status::Active);
        } else {
            let authorization = self.catalog.authorization();
            authorization.enforce(Action::AddImage, caller, None)?;
            self.restrict_user(caller, &image, Purge::Nothing, &mut fields)?;
        }
        apply_fields(caller, fields, Purge::Nothing, &mut image)?;
        self.check_user_image(caller, None, &image)?;
        let record = self.catalog.registry.insert(image).await?;
        Ok(self.catalog.redact(caller, record))
    }

    /// Changes an image. With `from_state`, only if the image has this status.
    ///
    /// # Errors
    /// `Conflict` if the image has another status, or if the status cannot change to the
    /// requested one; `NotFound`, `Forbidden`, `Invalid`.
    pub async fn update(
        &self,
        caller: &Caller,
        id: &ImageId,
        fields: &Fields,
        purge: Purge,
        from_state: Option<&str>,
    ) -> Result<Arc<Record>> {
        authorize_any(caller, ImageOperation::Change)?;
        let status = requested_status(fields)?;
        modify(id, async || {
            let record = self.catalog.find_visible(caller, id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            authorize(caller, ImageOperation::Change, &record.image)?;
            let current = record.image.status;
            check_step(current, status, from_state)?;
            let mut image = record.image.clone();
            image.status = status.unwrap_or(current);
            image.updated_at = now_after(image.updated_at);
            if image.status.is_gone() && !current.is_gone() {
                image.deleted_at = Some(image.updated_at);
            }
            let mut fields = fields.clone();
            if !caller.is_admin {
                let authorization = self.catalog.authorization();
                authorization.enforce(Action::ModifyImage, caller, Some(&record.image))?;
                self.restrict_user(caller, &record.image, purge, &mut fields)?;
            }
            apply_fields(caller, fields, purge, &mut image)?;
            self.check_user_image(caller, Some(&record.image), &image)?;
            let record = self.catalog.registry.replace(image, record.version).await?;
            Ok(self.catalog.redact(caller, record))
        })
        .await
    }

    /// Marks an image as deleted. Its record stays, without properties, members and location; the
    /// API server that asks removes the data. Deleting a deleted image succeeds.
    ///
    /// # Errors
    /// `NotFound`; `Forbidden`, also for an image with data if the caller is not an
    /// administrator, because no API server would remove the data.
    pub async fn delete(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        authorize_any(caller, ImageOperation::Change)?;
        modify(id, async || {
            let record = self.catalog.find_visible(caller, id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            authorize(caller, ImageOperation::Change, &record.image)?;
            if record.image.status == Status::Deleted {
                return Ok(record);
            }
            if !caller.is_admin {
                let authorization = self.catalog.authorization();
                authorization.enforce(Action::DeleteImage, caller, Some(&record.image))?;
                check_user_may_delete(&record.image)?;
            }
            let mut image = record.image.clone();
            image.status = Status::Deleted;
            image.updated_at = now_after(image.updated_at);
            image.deleted_at = Some(image.updated_at);
            image.properties.clear();
            image.members.clear();
            (image.data, image.upload, image.trashed) = (None, None, None);
            self.catalog.registry.replace(image, record.version).await
        })
        .await
    }

    /// Checks the request of a caller that is not an administrator by the rules of the image API.
    /// For a new image, `current` is the image without any requested field.
    fn restrict_user(
        &self,
        caller: &Caller,
        current: &Image,
        purge: Purge,
        fields: &mut Fields,
    ) -> Result<()> {
        check_fields(&self.catalog.limits, fields, None)?;
        check_user_fields(current, fields)?;
        check_immutable(caller, current, fields)?;
        let (authorization, new) = (self.catalog.authorization(), &mut fields.properties);
        authorization.protect_properties(caller, &current.properties, purge, new)?;
        keep_state(&current.properties, &mut fields.properties);
        Ok(())
    }

    /// Checks the limits that do not apply to API servers.
    fn check_user_image(
        &self,
        caller: &Caller,
        before: Option<&Image>,
        after: &Image,
    ) -> Result<()> {
        if caller.is_admin {
            return Ok(());
        }
        check_property_quota(&self.catalog.limits, &after.properties)?;
        check_metadata_bytes(before, after)
    }
}

/// Applies the fields of a request, including the location, which only API servers set.
fn apply_fields(
    caller: &Caller,
    mut fields: Fields,
    purge: Purge,
    image: &mut Image,
) -> Result<()> {
    let location = fields.location.take();
    apply(caller, fields, purge, image);
    if let Some(location) = location.filter(|location| !location.is_empty()) {
        image.data = Some(ImageData::new(
            Location::parse(&location).map_err(|error| invalid(error.to_string()))?,
            image.size_bytes,
            image.checksum.clone(),
        ));
    }
    if image.status != Status::Saving {
        // With any other status, an upload of one of our own servers has ended: either it
        // completed, or another server has set the status.
        image.upload = image.upload.take().filter(|_| image.data.is_none());
    }
    Ok(())
}
