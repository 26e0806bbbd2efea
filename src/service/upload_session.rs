//! One upload, from the record that announces it to its end.
//!
//! The record names the upload, with its store, before the first byte is written. A byte in a store
//! therefore always has a record that leads to it, whatever happens to this process.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::active_uploads::{ActiveUploads, QuotaTicket, UploadGuard};
use super::background::current_process_mark;
use super::clock::now;
use super::errors::deleted_meanwhile;
use crate::error::Result;
use crate::image::{Image, ImageId, Md5Digest, OnFailure, Status, Upload};
use crate::registry::{Record, Registry};
use crate::store::Store;

/// The bytes of an upload.
pub trait DataSource: 'static {
    /// Returns the next bytes, or `None` after the last.
    ///
    /// # Errors
    /// `Timeout` and `Disconnected`; `Invalid` if the data are not what their sender announced.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>>;
}

/// The data of a request, and what the request says of them.
pub struct UploadData<S> {
    /// The bytes.
    pub source: S,
    /// The announced length, if there is one.
    pub len_bytes: Option<u64>,
    /// True if the sender declares the data as plain bytes. Anything else is refused.
    pub is_octets: bool,
    /// The MD5 that the request states, in addition to the checksum of the record.
    pub stated_md5: Option<Md5Digest>,
    /// The effect of a failure on the image.
    pub on_failure: OnFailure,
}

/// An upload of this process, from before its record is written until it ends.
pub(super) struct UploadSession {
    pub(super) image: ImageId,
    pub(super) upload: Upload,
    /// The size that the client has stated; zero if it has not.
    pub(super) stated_bytes: u64,
    pub(super) store: Arc<dyn Store>,
    pub(super) guard: UploadGuard,
    /// The position in the quota queue, for an upload of unknown length.
    pub(super) quota_ticket: Option<QuotaTicket>,
}

/// The values that a new session needs and that its image does not have.
pub(super) struct SessionOptions<'a> {
    pub(super) active: &'a ActiveUploads,
    pub(super) node_name: &'a str,
    pub(super) store: Arc<dyn Store>,
    pub(super) on_failure: OnFailure,
}

impl UploadSession {
    /// Creates a session whose data arrive now. Makes the image `saving`.
    pub(super) fn saving(
        options: SessionOptions<'_>,
        image: &mut Image,
        len_bytes: Option<u64>,
    ) -> Self {
        // With neither an announced nor a stated length, the reservation grows with the data.
        let reserved_bytes = len_bytes.unwrap_or(image.size_bytes);
        let grows = len_bytes.is_none() && reserved_bytes == 0;
        let active = options.active.clone();
        let mut session = Self::queued(options, image, reserved_bytes);
        session.quota_ticket = grows.then(|| active.enqueue(image.owner.as_deref()));
        image.status = Status::Saving;
        session
    }

    /// Creates a session that waits for its turn. Names the upload in the image, which stays
    /// `queued`.
    pub(super) fn queued(
        options: SessionOptions<'_>,
        image: &mut Image,
        reserved_bytes: u64,
    ) -> Self {
        let upload = Upload {
            id: Uuid::new_v4(),
            store: options.store.name().to_owned(),
            started_at: now(),
            reserved_bytes,
            node: Some(options.node_name.to_owned()),
            process: current_process_mark(),
            on_failure: options.on_failure,
        };
        image.upload = Some(upload.clone());
        Self {
            image: image.id,
            stated_bytes: image.size_bytes,
            // Registered before the record is written. A deletion that reads the record then always
            // finds an upload that it can stop.
            guard: options.active.begin(upload.id, image.id),
            quota_ticket: None,
            upload,
            store: options.store,
        }
    }

    /// Returns when the upload must stop because its image was deleted.
    pub(super) async fn stopped(&self) {
        self.guard.stopped().await;
    }

    /// Returns the image's record.
    ///
    /// # Errors
    /// `DeletedMeanwhile` if this upload is no longer the one that fills the image.
    pub(super) async fn record(&self, registry: &dyn Registry) -> Result<Arc<Record>> {
        let record = registry.get(&self.image).await?;
        record
            .filter(|record| is_current(&record.image, self.upload.id))
            .ok_or_else(|| deleted_meanwhile(&self.image))
    }
}

/// Returns true if the image still waits for the data of this upload.
pub(super) fn is_current(image: &Image, upload: Uuid) -> bool {
    matches!(image.status, Status::Queued | Status::Saving)
        && image.upload.as_ref().is_some_and(|own| own.id == upload)
}
