//! Attaching data to an image that has none: the data of a request, a location, or a copy.
//!
//! Creation, update and the verb [`Service::attach_data`] share these steps: [`Uploads::prepare`]
//! decides and completes the record, the caller writes the record, and [`Uploads::carry_out`] runs
//! what the record announces. The record is written before the first byte is stored.

use std::sync::Arc;

use super::Service;
use super::clock::now_after;
use super::errors::{authorize, authorize_any, invalid, not_found};
use super::external_source::{MeasuredSource, SourceMode};
use super::modify::modify;
use super::upload_session::{DataSource, UploadData, UploadSession};
use super::uploads::Uploads;
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, Fields, Image, ImageData, ImageId, ImageOperation, OnFailure, Status};
use crate::policy::Action;
use crate::registry::{Record, Version};
use crate::store::Store;

/// The data that a request offers for an image.
pub(super) enum DataOffer {
    None,
    Body(BodyInfo),
    Source(MeasuredSource),
}

/// The properties of a request's body that are known before it is read.
#[derive(Clone, Copy)]
pub(super) struct BodyInfo {
    is_octets: bool,
    len_bytes: Option<u64>,
    on_failure: OnFailure,
}

/// The step that follows once the image's record is written.
pub(super) enum NextStep {
    /// The request is complete.
    Done,
    /// The offered data are refused. The record is written all the same.
    Refuse(Error),
    Upload(UploadSession),
    Copy(PendingCopy),
}

/// A copy that its image's record announces and that has not begun.
pub(super) struct PendingCopy {
    pub(super) session: UploadSession,
    pub(super) source: MeasuredSource,
}

impl BodyInfo {
    pub(super) fn of<S>(data: &UploadData<S>) -> Self {
        Self {
            is_octets: data.is_octets,
            len_bytes: data.len_bytes,
            on_failure: data.on_failure,
        }
    }
}

impl DataOffer {
    /// Returns the one offer of a request.
    ///
    /// # Errors
    /// `Invalid` if the request offers data in more than one way.
    pub(super) fn of(
        fields: &Fields,
        body: Option<BodyInfo>,
        source: Option<MeasuredSource>,
    ) -> Result<Self> {
        let offers = [
            body.is_some(),
            fields.location.is_some(),
            fields.copy_from.is_some(),
        ];
        if offers.iter().filter(|is_made| **is_made).count() > 1 {
            return Err(invalid("It's invalid to provide multiple image sources."));
        }
        Ok(match (body, source) {
            (Some(body), _) => Self::Body(body),
            (None, Some(source)) => Self::Source(source),
            (None, None) => Self::None,
        })
    }
}

impl NextStep {
    /// Returns the image to write instead of `image` if the quota refuses the upload: the failure
    /// has the same effect as one during the upload.
    fn refused_image(&self, image: &Image) -> Option<Image> {
        let Self::Upload(session) = self else {
            return None;
        };
        Some(Image {
            status: status_after_refusal(session.upload.on_failure),
            upload: None,
            ..image.clone()
        })
    }
}

impl Uploads {
    /// Prepares a queued image for the data of an offer and returns the step that follows.
    pub(super) fn prepare(
        &self,
        image: &mut Image,
        offer: DataOffer,
        store: Arc<dyn Store>,
    ) -> NextStep {
        match offer {
            DataOffer::None => NextStep::Done,
            DataOffer::Body(body) => self.prepare_upload(image, body, store),
            DataOffer::Source(source) => self.prepare_source(image, source, store),
        }
    }

    fn prepare_upload(&self, image: &mut Image, body: BodyInfo, store: Arc<dyn Store>) -> NextStep {
        if let Some(missing) = missing_format(image) {
            return NextStep::Refuse(missing);
        }
        if !body.is_octets {
            image.status = status_after_refusal(body.on_failure);
            let message = "Content-Type must be application/octet-stream";
            return NextStep::Refuse(invalid(message));
        }
        let options = self.session_options(store, body.on_failure);
        NextStep::Upload(UploadSession::saving(options, image, body.len_bytes))
    }

    fn prepare_source(
        &self,
        image: &mut Image,
        source: MeasuredSource,
        store: Arc<dyn Store>,
    ) -> NextStep {
        source.state_size(image);
        if source.mode == SourceMode::Copy {
            // Only v1 copies from a source that a request names, and v1 kills on failure.
            let options = self.session_options(store, OnFailure::Kill);
            let session = UploadSession::queued(options, image, source.size_bytes);
            return NextStep::Copy(PendingCopy { session, source });
        }
        match attach_location(image, source) {
            Ok(()) => NextStep::Done,
            Err(refusal) => NextStep::Refuse(refusal),
        }
    }

    /// Writes the record of a prepared image: over the version `seen`, or as a new record. If the
    /// quota refuses the data, writes the image as a failed upload would leave it.
    ///
    /// # Errors
    /// Those of the registry.
    pub(super) async fn write(
        &self,
        image: Image,
        seen: Option<Version>,
        next_step: &NextStep,
    ) -> Result<Arc<Record>> {
        let id = image.id;
        let refused = next_step.refused_image(&image);
        let written = match seen {
            Some(seen) => self.registry.replace(image, seen).await,
            None => self.registry.insert(image).await,
        };
        let Err(error) = written else {
            return written;
        };
        self.clean_if_unconfirmed(id, &error);
        if let (Some(refused), Kind::TooLarge) = (refused, error.kind()) {
            // Best effort. Another change of the record wins, and a quota on images may refuse the
            // record itself.
            let _ = match seen {
                Some(seen) => self.registry.replace(refused, seen).await,
                None => self.registry.insert(refused).await,
            };
        }
        Err(error)
    }

    /// Runs the step of an image whose record is written. Returns the record of an upload when the
    /// data are durable, and that of a copy at once.
    ///
    /// # Errors
    /// The refusal of [`NextStep::Refuse`], and those of an upload.
    pub(super) async fn carry_out<S: DataSource>(
        self: &Arc<Self>,
        next_step: NextStep,
        record: Arc<Record>,
        data: Option<UploadData<S>>,
    ) -> Result<Arc<Record>> {
        match (next_step, data) {
            (NextStep::Refuse(refusal), _) => Err(refusal),
            (NextStep::Upload(session), Some(data)) => self.upload(session, data).await,
            (NextStep::Copy(copy), _) => {
                self.start_copy(copy);
                Ok(record)
            }
            (NextStep::Done | NextStep::Upload(_), _) => Ok(record),
        }
    }
}

impl Service {
    /// Stores the data of a queued image and returns its record when they are durable. Changes no
    /// other field. `scheme` selects the store; `None` means the default store.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Conflict` if the image is not `queued`; those of an upload.
    pub async fn attach_data<S: DataSource>(
        &self,
        caller: &Caller,
        id: &ImageId,
        scheme: Option<&str>,
        data: UploadData<S>,
    ) -> Result<Arc<Record>> {
        authorize_any(caller, ImageOperation::Change)?;
        let store = self.stores.choose(scheme)?;
        let body = BodyInfo::of(&data);
        let (next_step, record) = modify(id, async || {
            let record = self.catalog.find_visible(caller, id).await?;
            let current = record.as_ref().map(|record| &record.image);
            let authorization = self.catalog.authorization();
            authorization.enforce(Action::UploadImage, caller, current)?;
            let record = record.ok_or_else(|| not_found(id))?;
            authorize(caller, ImageOperation::Change, &record.image)?;
            if !awaits_data(&record.image) {
                return Err(not_queued(&record.image));
            }
            let mut image = record.image.clone();
            image.updated_at = now_after(image.updated_at);
            let offer = DataOffer::Body(body);
            let next_step = self.uploads.prepare(&mut image, offer, Arc::clone(&store));
            self.uploads.quota.wait_for_removals(&image).await?;
            let seen = Some(record.version);
            let record = self.uploads.write(image, seen, &next_step).await?;
            Ok((next_step, record))
        })
        .await?;
        let record = self
            .uploads
            .carry_out(next_step, record, Some(data))
            .await?;
        Ok(self.catalog.redact(caller, record))
    }
}

/// Makes an image active whose data stay at their source.
fn attach_location(image: &mut Image, source: MeasuredSource) -> Result<()> {
    if let Some(missing) = missing_format(image) {
        return Err(missing);
    }
    if image.size_bytes != source.size_bytes {
        return Err(Error::new(
            Kind::Conflict,
            format!(
                "The stated size ({}) is not that of the data at the location ({}).",
                image.size_bytes, source.size_bytes
            ),
        ));
    }
    image.status = Status::Active;
    // Only stated by the client, so every download compares the data with it.
    let checksum = image.checksum.clone().filter(|sum| sum.digest().is_some());
    let data = ImageData::new(source.location, source.size_bytes, checksum);
    image.data = Some(data);
    Ok(())
}

/// Returns true if the image can still get its data. An image that waits for a copy cannot.
pub(super) fn awaits_data(image: &Image) -> bool {
    image.status == Status::Queued && image.upload.is_none()
}

/// Returns the error for data on an image that is not `queued`.
pub(super) fn not_queued(image: &Image) -> Error {
    Error::new(
        Kind::Conflict,
        format!(
            "Cannot upload to an unqueued image: image {} is {}.",
            image.id,
            image.status.as_str()
        ),
    )
}

fn status_after_refusal(on_failure: OnFailure) -> Status {
    match on_failure {
        OnFailure::Kill => Status::Killed,
        OnFailure::Requeue => Status::Queued,
    }
}

/// Returns the error for data on an image without both formats.
fn missing_format(image: &Image) -> Option<Error> {
    if image.disk_format.is_none() {
        return Some(invalid("Disk format is not specified."));
    }
    if image.container_format.is_none() {
        return Some(invalid("Container format is not specified."));
    }
    None
}
