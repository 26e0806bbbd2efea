//! Changing an image's metadata, and giving a reserved image its data.

use std::sync::Arc;

use super::apply::{Purge, apply, check_fields, check_metadata_bytes, check_property_quota};
use super::external_source::{MeasuredSource, PendingCopy, check_one_source};
use super::modify::modify;
use super::upload::{DataSource, UploadData, UploadSession, missing_format, wrong_content_type};
use super::{Service, authorize, authorize_any, forbidden, invalid, meets, not_found, now_after};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, Conditions, Fields, Image, ImageId, ImageOperation, Status};
use crate::policy::Action;
use crate::registry::{Record, Version};
use crate::store::Store;

/// What an update makes of the image that it looked at.
struct Plan {
    image: Image,
    then: NextStep,
}

/// What follows once the record is written.
enum NextStep {
    /// Nothing.
    Done,
    /// The data or the source that came are refused.
    Refuse(Error),
    Upload(UploadSession),
    Copy(PendingCopy),
}

/// A request to change an image.
struct Change<'a> {
    caller: &'a Caller,
    fields: &'a Fields,
    purge: Purge,
    /// The data that come, if some come.
    data: Option<BodyInfo>,
    conditions: &'a Conditions,
}

/// What is known of data before they come.
#[derive(Clone, Copy)]
struct BodyInfo {
    is_octets: bool,
    len_bytes: Option<u64>,
}

impl Plan {
    /// What the image becomes when there is no room for the data that came.
    fn killed(&self) -> Option<Image> {
        let with_data = matches!(self.then, NextStep::Upload(_));
        with_data.then(|| Image {
            status: Status::Killed,
            upload: None,
            ..self.image.clone()
        })
    }
}

impl Service {
    /// Changes an image; with data, takes them in and returns when they are safe; with a
    /// source to copy from, begins to copy and returns.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden` for what may not change, `Conflict` for data on an
    /// image that is not `queued`, `PreconditionFailed` when a condition is false of the
    /// version of the record that would be replaced, and those of an upload.
    pub async fn update<S: DataSource>(
        self: &Arc<Self>,
        caller: &Caller,
        id: &ImageId,
        mut fields: Fields,
        purge: Purge,
        data: Option<UploadData<S>>,
        conditions: &Conditions,
    ) -> Result<Arc<Record>> {
        let len = data.as_ref().and_then(|data| data.len_bytes);
        check_fields(&self.limits, &mut fields, len)?;
        authorize_any(caller, ImageOperation::Change)?;
        let change = Change {
            caller,
            fields: &fields,
            purge,
            data: data.as_ref().map(|data| BodyInfo {
                is_octets: data.is_octets,
                len_bytes: data.len_bytes,
            }),
            conditions,
        };
        let mut source = None;
        let written = modify(id, async || {
            let record = self.to_be_changed(&change, id).await?;
            let plan = self.plan(&change, &record.image, &mut source).await?;
            if awaits_data(&record.image) {
                self.await_room_for(&plan.image).await?;
            }
            let killed = plan.killed();
            match self.registry.replace(plan.image, record.version).await {
                Err(error) => {
                    self.clean_if_unknown(*id, &error);
                    self.kill_refused(killed, record.version, &error).await;
                    Err(error)
                }
                Ok(record) => Ok((plan.then, record)),
            }
        });
        let (then, record) = written.await?;
        let record = self.carry_out(then, record, data).await?;
        Ok(self.redact(caller, record))
    }

    /// The image, if the policy allows what is to be changed of it.
    async fn to_be_changed(&self, change: &Change<'_>, id: &ImageId) -> Result<Arc<Record>> {
        let (caller, has_data) = (change.caller, change.data.is_some());
        let record = self.find_visible(caller, id).await?;
        let image = record.as_ref().map(|record| &record.image);
        self.enforce(Action::ModifyImage, caller, image)?;
        self.enforce_fields(caller, image, change.fields, has_data)?;
        record.ok_or_else(|| not_found(id))
    }

    /// Decides what the request makes of the image as it is now. Whoever sees the image is
    /// told what does not fit it, before being told that it is not theirs: the order of
    /// Glance. A source is asked once, after everything that can be refused without it.
    async fn plan(
        &self,
        change: &Change<'_>,
        current: &Image,
        source: &mut Option<MeasuredSource>,
    ) -> Result<Plan> {
        let fields = change.fields;
        check_immutable(change.caller, current, fields)?;
        if change.data.is_some() && !awaits_data(current) {
            return Err(not_queued(current));
        }
        let named = self.external_source(fields)?;
        if named.is_some() && !awaits_data(current) {
            return Err(invalid(
                "Attempted to update Location field for an image not in queued status.",
            ));
        }
        let store = self.stores.choose(fields.store.as_deref())?;
        let mut image = self.changed(change, current)?;
        meets(current, change.conditions)?;
        if let (Some(named), None) = (named, &source) {
            *source = Some(self.measure(named).await?);
        }
        let one_source = check_one_source(fields, change.data.is_some());
        let then = match (one_source, source.clone(), change.data) {
            (Err(several), ..) => NextStep::Refuse(several),
            (Ok(()), Some(source), _) => self.plan_source(&mut image, source, store),
            (Ok(()), None, Some(data)) => self.plan_data(&mut image, data, store),
            (Ok(()), None, None) => NextStep::Done,
        };
        check_metadata_bytes(Some(current), &image)?;
        Ok(Plan { image, then })
    }

    fn plan_source(
        &self,
        image: &mut Image,
        source: MeasuredSource,
        store: Arc<dyn Store>,
    ) -> NextStep {
        source.state_size(image);
        match self.attach(image, source, store) {
            Ok(None) => NextStep::Done,
            Ok(Some(copy)) => NextStep::Copy(copy),
            Err(refusal) => NextStep::Refuse(refusal),
        }
    }

    fn plan_data(&self, image: &mut Image, data: BodyInfo, store: Arc<dyn Store>) -> NextStep {
        if let Some(missing) = missing_format(image) {
            return NextStep::Refuse(missing);
        }
        if !data.is_octets {
            image.status = Status::Killed;
            return NextStep::Refuse(wrong_content_type());
        }
        NextStep::Upload(UploadSession::new(self, store, image, data.len_bytes))
    }

    /// The image with the request's fields.
    fn changed(&self, change: &Change<'_>, current: &Image) -> Result<Image> {
        let mut image = current.clone();
        // Data and properties in one request: the data are the point, nothing is purged.
        let purge = match change.data {
            Some(_) => Purge::Nothing,
            None => change.purge,
        };
        let mut fields = change.fields.clone();
        let (caller, properties) = (change.caller, &mut fields.properties);
        self.protect_properties(caller, &current.properties, purge, properties)?;
        apply(caller, fields, purge, &mut image);
        check_property_quota(&self.limits, &image.properties)?;
        authorize(change.caller, ImageOperation::Change, current)?;
        image.updated_at = now_after(current.updated_at);
        Ok(image)
    }

    /// Data that were refused because there is no room for them cost the image, as they do
    /// when the room ends while they come.
    async fn kill_refused(&self, killed: Option<Image>, seen: Version, refusal: &Error) {
        if let Some(killed) = killed
            && refusal.kind() == Kind::TooLarge
        {
            // Whoever changed it meanwhile has the last word.
            let _ = self.registry.replace(killed, seen).await;
        }
    }

    async fn carry_out<S: DataSource>(
        self: &Arc<Self>,
        then: NextStep,
        record: Arc<Record>,
        data: Option<UploadData<S>>,
    ) -> Result<Arc<Record>> {
        match (then, data) {
            (NextStep::Refuse(refusal), _) => Err(refusal),
            (NextStep::Upload(session), Some(data)) => self.upload(session, data).await,
            (NextStep::Copy(copy), _) => {
                self.copy(copy);
                Ok(record)
            }
            (NextStep::Done | NextStep::Upload(_), _) => Ok(record),
        }
    }
}

/// Whether an image may still get its data. One that is to be copied has a source already.
fn awaits_data(image: &Image) -> bool {
    image.status == Status::Queued && image.upload.is_none()
}

/// What no request may change, and what only an administrator may (CVE-2015-5251).
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
