//! Copying an image's data from an external source, in the background.
//!
//! The request returns at once. The image is `queued` while the copy waits, then `saving`, then
//! `active` or `killed`. The record names the upload from the beginning, so the next start ends a
//! copy that the end of this process interrupted.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::attach_data::PendingCopy;
use super::clock::now_after;
use super::errors::deleted_meanwhile;
use super::external_source::MeasuredSource;
use super::modify::modify;
use super::upload_session::{DataSource, UploadData, UploadSession};
use super::uploads::Uploads;
use crate::error::{Error, Kind, Result};
use crate::image::Status;
use crate::registry::Record;
use crate::transfer::{MinRate, Payload};

impl Uploads {
    /// Starts a copy that the image's record announces, and returns.
    pub(super) fn start_copy(self: &Arc<Self>, copy: PendingCopy) {
        let uploads = Arc::clone(self);
        tokio::task::spawn_local(async move {
            let image_id = copy.session.image;
            let began = Instant::now();
            // No request waits for the result, so the log is the only place that tells it.
            match uploads.copy(copy).await {
                Ok(record) => tracing::info!(
                    %image_id,
                    size_bytes = record.image.size_bytes,
                    took_s = began.elapsed().as_secs(),
                    "image copied"
                ),
                Err(error) => tracing::warn!(%image_id, ?error, "image copy failed"),
            }
        });
    }

    async fn copy(self: &Arc<Self>, copy: PendingCopy) -> Result<Arc<Record>> {
        let PendingCopy { session, source } = copy;
        let permit = tokio::select! {
            biased;
            () = session.stopped() => Err(deleted_meanwhile(&session.image)),
            permit = self.copies.acquire() => permit.map_err(Error::internal),
        };
        let saving = match permit {
            Ok(permit) => self.start_saving(&session).await.map(|()| permit),
            Err(error) => Err(error),
        };
        // Held until the copy ends.
        let _permit = match saving {
            Ok(permit) => permit,
            // `false`: the cleaner has the store discard the upload. Nothing was written yet, but
            // the record must not forget the upload without that check.
            Err(failure) => return Err(self.fail(session, failure, false).await),
        };
        let data = UploadData {
            len_bytes: Some(source.size_bytes),
            source: CopySource {
                unopened: Some(source),
                payload: Payload::Empty,
                pace: MinRate::new(self.limits.copy_min_rate_bytes),
            },
            is_octets: true,
            stated_md5: None,
            on_failure: session.upload.on_failure,
        };
        self.upload(session, data).await
    }

    /// Makes the image `saving`.
    async fn start_saving(&self, session: &UploadSession) -> Result<()> {
        modify(&session.image, async || {
            let record = session.record(&*self.registry).await?;
            let mut image = record.image.clone();
            image.status = Status::Saving;
            image.updated_at = now_after(image.updated_at);
            self.registry.replace(image, record.version).await?;
            Ok(())
        })
        .await
    }
}

/// The bytes of an external source, which is opened when the first bytes are needed.
struct CopySource {
    unopened: Option<MeasuredSource>,
    payload: Payload,
    pace: MinRate,
}

impl DataSource for CopySource {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(source) = self.unopened.take() {
            self.payload = source.open().await?;
        }
        match &mut self.payload {
            Payload::Empty => Ok(None),
            Payload::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.payload = Payload::Empty;
                Ok(Some(bytes))
            }
            Payload::File(_) | Payload::Partial(_) | Payload::Text(_) => {
                Err(Error::internal("a copy cannot read files of this node"))
            }
            Payload::Remote(remote) => {
                let began = Instant::now();
                let bytes = remote.next().await?;
                let len = bytes.as_ref().map_or(0, Bytes::len);
                if !self.pace.keeps_up(began.elapsed(), len) {
                    return Err(Error::new(
                        Kind::Timeout,
                        "The source of the image sends too slowly.",
                    ));
                }
                Ok(bytes)
            }
        }
    }
}
