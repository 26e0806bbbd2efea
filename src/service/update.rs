//! Changing an image's metadata, and attaching data to a queued image with the same request.

use std::sync::Arc;

use super::Service;
use super::apply::{Purge, apply, check_fields, check_metadata_bytes, check_property_quota};
use super::attach_data::{BodyInfo, DataOffer, NextStep, awaits_data, not_queued};
use super::clock::now_after;
use super::errors::{authorize, authorize_any, check_conditions, forbidden, invalid, not_found};
use super::external_source::MeasuredSource;
use super::modify::modify;
use super::upload_session::{DataSource, UploadData};
use crate::error::Result;
use crate::image::{Caller, Conditions, Fields, Image, ImageId, ImageOperation, Status};
use crate::policy::Action;
use crate::registry::Record;

/// A request to change an image.
struct ChangeRequest<'a> {
    caller: &'a Caller,
    fields: &'a Fields,
    purge: Purge,
    body: Option<BodyInfo>,
    conditions: &'a Conditions,
}

impl Service {
    /// Changes an image. Returns its record when the data of the request, if any, are durable. A
    /// copy from an external source continues in the background.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`; `Forbidden` for a fixed field; `Conflict` for data on an image that
    /// is not `queued`; `PreconditionFailed` if a condition is false for the version of the record
    /// that would be replaced; those of an upload.
    pub async fn update<S: DataSource>(
        &self,
        caller: &Caller,
        id: &ImageId,
        mut fields: Fields,
        purge: Purge,
        data: Option<UploadData<S>>,
        conditions: &Conditions,
    ) -> Result<Arc<Record>> {
        let len = data.as_ref().and_then(|data| data.len_bytes);
        check_fields(&self.catalog.limits, &mut fields, len)?;
        authorize_any(caller, ImageOperation::Change)?;
        let request = ChangeRequest {
            caller,
            fields: &fields,
            purge,
            body: data.as_ref().map(BodyInfo::of),
            conditions,
        };
        // Kept across attempts: the source is measured once, not once per lost race.
        let mut source = None;
        let written = modify(id, async || {
            let record = self.find_to_change(&request, id).await?;
            let current = &record.image;
            let (image, next_step) = self.plan_change(&request, current, &mut source).await?;
            if awaits_data(current) {
                self.uploads.quota.wait_for_removals(&image).await?;
            }
            let seen = Some(record.version);
            let record = self.uploads.write(image, seen, &next_step).await?;
            Ok((next_step, record))
        });
        let (next_step, record) = written.await?;
        let record = self.uploads.carry_out(next_step, record, data).await?;
        Ok(self.catalog.redact(caller, record))
    }

    /// Returns the image's record if the policy allows the requested changes.
    async fn find_to_change(
        &self,
        request: &ChangeRequest<'_>,
        id: &ImageId,
    ) -> Result<Arc<Record>> {
        let (caller, has_data) = (request.caller, request.body.is_some());
        let record = self.catalog.find_visible(caller, id).await?;
        let image = record.as_ref().map(|record| &record.image);
        let authorization = self.catalog.authorization();
        authorization.enforce(Action::ModifyImage, caller, image)?;
        authorization.enforce_fields(caller, image, request.fields, has_data)?;
        record.ok_or_else(|| not_found(id))
    }

    /// Returns the changed image and the step that follows once its record is written.
    ///
    /// The order of the checks is Glance's: a caller that can see the image learns that the request
    /// does not fit the image before it learns that it does not own the image. A source is measured
    /// last, since that costs a request to another server.
    async fn plan_change(
        &self,
        request: &ChangeRequest<'_>,
        current: &Image,
        source: &mut Option<MeasuredSource>,
    ) -> Result<(Image, NextStep)> {
        let fields = request.fields;
        check_immutable(request.caller, current, fields)?;
        if request.body.is_some() && !awaits_data(current) {
            return Err(not_queued(current));
        }
        let named = self.sources.named(fields)?;
        if named.is_some() && !awaits_data(current) {
            return Err(invalid(
                "Attempted to update Location field for an image not in queued status.",
            ));
        }
        let store = self.stores.choose(fields.store.as_deref())?;
        let mut image = self.changed_image(request, current)?;
        check_conditions(current, request.conditions)?;
        if let (Some(named), None) = (named, &source) {
            *source = Some(self.sources.measure(named).await?);
        }
        let next_step = match DataOffer::of(fields, request.body, source.clone()) {
            Ok(offer) => self.uploads.prepare(&mut image, offer, store),
            Err(several) => NextStep::Refuse(several),
        };
        check_metadata_bytes(Some(current), &image)?;
        Ok((image, next_step))
    }

    /// Returns the image with the fields of the request.
    fn changed_image(&self, request: &ChangeRequest<'_>, current: &Image) -> Result<Image> {
        let mut image = current.clone();
        // Glance purges no properties in a request that carries data.
        let purge = match request.body {
            Some(_) => Purge::Nothing,
            None => request.purge,
        };
        let mut fields = request.fields.clone();
        let (caller, new) = (request.caller, &mut fields.properties);
        let authorization = self.catalog.authorization();
        authorization.protect_properties(caller, &current.properties, purge, new)?;
        apply(caller, fields, purge, &mut image);
        check_property_quota(&self.catalog.limits, &image.properties)?;
        authorize(caller, ImageOperation::Change, current)?;
        image.updated_at = now_after(current.updated_at);
        Ok(image)
    }
}

/// Refuses changes of fields that are fixed, or that only an administrator may change
/// (CVE-2015-5251).
pub(super) fn check_immutable(caller: &Caller, current: &Image, fields: &Fields) -> Result<()> {
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
