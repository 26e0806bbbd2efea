//! Changing an image's metadata, and giving a reserved image its data.

use std::sync::Arc;

use super::apply::{Purge, apply, check_fields, check_property_quota, check_sources};
use super::upload::{Begun, Data, Source, missing_format, wrong_content_type};
use super::{MOST_RETRIES, Service, forbidden, now_after, too_busy};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, Fields, Image, ImageId, Status};
use crate::registry::{Record, Version};

/// What an update found when it looked at the image.
enum Plan {
    /// Nothing but metadata changes.
    Metadata(Image),
    /// The data that came are refused after the change is made.
    Refuse(Image, Error),
    /// The data are taken in.
    Upload(Image, Begun),
}

impl Service {
    /// Changes an image; with data, takes them in and returns when they are safe.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden` for what may not change, `Conflict` for data on an
    /// image that is not `queued`, and those of an upload.
    pub async fn update<S: Source>(
        self: &Arc<Self>,
        caller: &Caller,
        id: &ImageId,
        mut fields: Fields,
        purge: Purge,
        data: Option<Data<S>>,
    ) -> Result<Arc<Record>> {
        let len = data.as_ref().and_then(|data| data.len_bytes);
        check_fields(&self.limits, &mut fields, len)?;
        for _ in 0..MOST_RETRIES {
            let record = self.modifiable(caller, id).await?;
            let data_kind = data.as_ref().map(|data| data.is_octets);
            let plan = self.plan(caller, &record.image, &fields, purge, data_kind)?;
            match self.carry_out(plan, record.version).await {
                Err(error) if error.kind() == Kind::Stale => {}
                Err(error) => return Err(error),
                Ok((record, None)) => return Ok(record),
                Ok((record, Some(begun))) => {
                    return match data {
                        Some(data) => self.upload(begun, data).await,
                        None => Ok(record),
                    };
                }
            }
        }
        let record = self.show(caller, id).await?;
        Err(too_busy(&record.image))
    }

    /// Decides what the request makes of the image as it is now.
    fn plan(
        &self,
        caller: &Caller,
        current: &Image,
        fields: &Fields,
        purge: Purge,
        data_is_octets: Option<bool>,
    ) -> Result<Plan> {
        check_immutable(caller, current, fields)?;
        if data_is_octets.is_some() && current.status != Status::Queued {
            return Err(not_queued(current));
        }
        check_sources(fields)?;
        let store = self.stores.choose(fields.store.as_deref())?;
        let mut image = current.clone();
        // Data and properties in one request: the data are the point, nothing is purged.
        let purge = if data_is_octets.is_some() {
            Purge::Nothing
        } else {
            purge
        };
        apply(caller, fields.clone(), purge, &mut image);
        check_property_quota(&self.limits, &image.properties)?;
        image.updated_at = now_after(current.updated_at);
        let Some(is_octets) = data_is_octets else {
            return Ok(Plan::Metadata(image));
        };
        if let Some(missing) = missing_format(&image) {
            return Ok(Plan::Refuse(image, missing));
        }
        if !is_octets {
            image.status = Status::Killed;
            return Ok(Plan::Refuse(image, wrong_content_type()));
        }
        let begun = Begun::new(&self.in_flight, store, &mut image);
        Ok(Plan::Upload(image, begun))
    }

    async fn carry_out(&self, plan: Plan, seen: Version) -> Result<(Arc<Record>, Option<Begun>)> {
        match plan {
            Plan::Metadata(image) => Ok((self.registry.replace(image, seen).await?, None)),
            Plan::Upload(image, begun) => {
                Ok((self.registry.replace(image, seen).await?, Some(begun)))
            }
            Plan::Refuse(image, refusal) => {
                self.registry.replace(image, seen).await?;
                Err(refusal)
            }
        }
    }
}

/// What no request may change, and what only an administrator may (CVE-2015-5251).
fn check_immutable(caller: &Caller, current: &Image, fields: &Fields) -> Result<()> {
    if current.status.is_gone() {
        return Err(forbidden(format!(
            "Forbidden to update deleted image {}.",
            current.id
        )));
    }
    let other_id = fields.id.is_some_and(|id| id != current.id);
    let status = fields.status.as_deref();
    let other_status = status.is_some_and(|status| status != current.status.as_str());
    if other_id || other_status {
        let field = if other_id { "id" } else { "status" };
        return Err(forbidden(format!(
            "Forbidden to modify '{field}' of image."
        )));
    }
    let has_data = matches!(current.status, Status::Active | Status::Deactivated);
    let other_size = fields
        .size_bytes
        .is_some_and(|size| size != current.size_bytes);
    let checksum = fields.checksum.value();
    let other_checksum = checksum.is_some() && checksum != current.checksum.as_ref();
    if has_data && !caller.is_admin && (other_size || other_checksum) {
        let field = if other_size { "size" } else { "checksum" };
        return Err(forbidden(format!(
            "Forbidden to modify '{field}' of active image."
        )));
    }
    Ok(())
}

fn not_queued(image: &Image) -> Error {
    Error::new(
        Kind::Conflict,
        format!(
            "Cannot upload to an unqueued image: image {} is {}.",
            image.id,
            image.status.as_str()
        ),
    )
}
