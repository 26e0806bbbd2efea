//! Copying an image's data from where a client said they are.
//!
//! The request is answered at once. The image is `queued` until the copy's turn comes, then
//! `saving`, then `active` or `killed`. What the end of the process cuts off, the next start
//! kills: the record names the upload from the beginning.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::external_source::{MeasuredSource, PendingCopy};
use super::modify::modify;
use super::upload::{DataSource, UploadData, UploadSession, deleted_meanwhile};
use super::{Service, now_after};
use crate::error::{Error, Kind, Result};
use crate::image::Status;
use crate::registry::Record;
use crate::transfer::{MinRate, Payload};

impl Service {
    /// Begins a copy that its image's record has, and returns.
    pub(super) fn copy(self: &Arc<Self>, copy: PendingCopy) {
        let service = Arc::clone(self);
        tokio::task::spawn_local(async move {
            let image_id = copy.session.image();
            let began = Instant::now();
            // Nobody waits for the answer: this is where its fate is told.
            match service.carry_out_copy(copy).await {
                Ok(record) => tracing::info!(
                    %image_id,
                    size_bytes = record.image.size_bytes,
                    took_s = began.elapsed().as_secs(),
                    "image copied"
                ),
                Err(error) => tracing::warn!(%image_id, ?error, "an image was not copied"),
            }
        });
    }

    async fn carry_out_copy(self: &Arc<Self>, copy: PendingCopy) -> Result<Arc<Record>> {
        let PendingCopy { session, source } = copy;
        let turn = tokio::select! {
            biased;
            () = session.stopped() => Err(deleted_meanwhile(&session.image())),
            turn = self.copies.acquire() => turn.map_err(Error::internal),
        };
        let saving = match turn {
            Ok(turn) => self.start_saving(&session).await.map(|()| turn),
            Err(error) => Err(error),
        };
        let _turn = match saving {
            Ok(turn) => turn,
            Err(failure) => return Err(self.fail(session, failure, false).await),
        };
        let len_bytes = Some(source.size_bytes);
        let source = CopySource {
            opening: Some(source),
            payload: Payload::Empty,
            pace: MinRate::new(self.limits.copy_min_rate_bytes),
        };
        let data = UploadData {
            source,
            len_bytes,
            is_octets: true,
            stated_md5: None,
        };
        self.upload(session, data).await
    }

    /// The copy's turn has come.
    async fn start_saving(&self, session: &UploadSession) -> Result<()> {
        modify(&session.image(), async || {
            let record = self.current(session).await?;
            let mut image = record.image.clone();
            image.status = Status::Saving;
            image.updated_at = now_after(image.updated_at);
            self.registry.replace(image, record.version).await?;
            Ok(())
        })
        .await
    }
}

/// A source elsewhere, opened when the first bytes are wanted.
struct CopySource {
    opening: Option<MeasuredSource>,
    payload: Payload,
    pace: MinRate,
}

impl DataSource for CopySource {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(source) = self.opening.take() {
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
                Err(Error::internal("files of this node are no source"))
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
