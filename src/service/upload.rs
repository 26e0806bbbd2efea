//! Running an upload: from a record in status `saving` to an image that is active, or whose upload
//! failed.
//!
//! The image becomes `active` after the last byte is durable. An upload that fails removes its
//! bytes. If it cannot, the record keeps naming the upload, and the cleaner removes them later. An
//! upload writes back only the fields it owns: status, size, checksum, location and the upload
//! itself. A concurrent change of any other field survives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::chunker::Chunker;
use super::clock::now_after;
use super::errors::{deleted_meanwhile, invalid, over_cap};
use super::modify::modify;
use super::upload_session::{DataSource, UploadData, UploadSession, is_current};
use super::uploads::Uploads;
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Image, ImageData, ImageId, Location, OnFailure, Status, Upload};
use crate::md5::Md5Stream;
use crate::metrics::{self, Direction};
use crate::registry::Record;
use crate::store::Writer;

/// Interval of the check for a deletion by another server.
const DELETION_POLL: Duration = Duration::from_secs(1);

/// Longest time that bytes wait for more before they go to a store that forwards them to a server.
/// That server would close an upload on which nothing arrives.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// The result of reading all bytes of an upload.
struct Received {
    size_bytes: u64,
    checksum: Checksum,
}

impl Uploads {
    /// Stores the data of an image whose record is `saving`. Runs to completion even if the caller
    /// is cancelled.
    ///
    /// # Errors
    /// Those of the source and of the store; `Invalid` if the data differ from the stated size or
    /// checksum; `TooLarge` past a limit; `DeletedMeanwhile`.
    pub(super) async fn upload<S: DataSource>(
        self: &Arc<Self>,
        session: UploadSession,
        data: UploadData<S>,
    ) -> Result<Arc<Record>> {
        let (image, upload) = (session.image, session.upload.clone());
        let uploads = Arc::clone(self);
        // A task of its own: dropping the request (a closed connection) must not drop the upload
        // between two writes to the registry.
        let task = tokio::task::spawn_local(async move { uploads.complete(session, data).await });
        match task.await {
            Ok(result) => result,
            Err(panicked) => {
                self.end_failed(&image, &upload, false).await?;
                Err(Error::internal(panicked))
            }
        }
    }

    async fn complete<S: DataSource>(
        &self,
        session: UploadSession,
        data: UploadData<S>,
    ) -> Result<Arc<Record>> {
        let mut is_removed = false;
        let failure = match self.store_data(&session, data, &mut is_removed).await {
            Ok((location, received)) => match self.activate(&session, location, received).await {
                Ok(record) => return Ok(record),
                Err(error) => error,
            },
            Err(error) => error,
        };
        Err(self.fail(session, failure, is_removed).await)
    }

    /// Ends an upload that failed. `is_removed` is true if none of its bytes are left. Returns the
    /// error for the client.
    pub(super) async fn fail(
        &self,
        session: UploadSession,
        failure: Error,
        is_removed: bool,
    ) -> Error {
        metrics::upload_failed(failure.kind());
        let (image, upload) = (session.image, session.upload);
        // Before the record is written: the cleaner leaves an upload alone while it is active.
        drop(session.guard);
        let status = self.end_failed(&image, &upload, is_removed).await;
        // After the record is written: an upload that waits for quota then finds the bytes free.
        drop(session.quota_ticket);
        match status {
            // Active: the registry applied the last write, but its response was lost.
            Ok(Status::Killed | Status::Queued | Status::Active) => failure,
            Ok(_) => deleted_meanwhile(&image),
            Err(error) => {
                self.cleaner.clean(image);
                error
            }
        }
    }

    /// Writes all bytes to the store, hashes them, and compares them with the statements of the
    /// client. Sets `is_removed` if a failure left nothing in the store.
    async fn store_data<S: DataSource>(
        &self,
        session: &UploadSession,
        data: UploadData<S>,
        is_removed: &mut bool,
    ) -> Result<(Location, Received)> {
        let stated_bytes = Some(session.stated_bytes).filter(|bytes| *bytes > 0);
        let size_hint_bytes = data.len_bytes.or(stated_bytes);
        let stated_md5 = data.stated_md5.as_ref().map(Checksum::of);
        let mut writer = session
            .store
            .create(&session.image, &session.upload, size_hint_bytes)
            .await?;
        let received = tokio::select! {
            // A deletion wins over data that are ready, so it ends a fast upload too.
            biased;
            () = session.stopped() => Err(deleted_meanwhile(&session.image)),
            () = self.deleted_by_other_server(session) => Err(deleted_meanwhile(&session.image)),
            received = self.receive(session, &mut *writer, data.source) => received,
        };
        let received = match received {
            Ok(received) => self.compare(session, received, stated_md5).await,
            Err(error) => Err(error),
        };
        match received {
            Ok(received) => {
                writer.expect(&received.checksum);
                Ok((writer.commit().await?, received))
            }
            Err(error) => {
                *is_removed = writer.abort().await.is_ok();
                Err(error)
            }
        }
    }

    /// Copies the source to the store and the hash, until its end.
    async fn receive(
        &self,
        session: &UploadSession,
        writer: &mut dyn Writer,
        mut source: impl DataSource,
    ) -> Result<Received> {
        let transfer = metrics::transfer_begins(
            Direction::Upload,
            session.store.name(),
            session.image,
            Some(session.stated_bytes).filter(|stated| *stated > 0),
        );
        let cap_bytes = self.limits.image_size_cap_bytes;
        let window_bytes = self.limits.upload_window_bytes;
        let mut hash = self.hashes.stream_with_window(window_bytes);
        let mut chunker = Chunker::new(&self.blocks, writer.wants_blocks());
        let mut size_bytes = 0;
        let mut reserved_bytes = session.upload.reserved_bytes;
        loop {
            let bytes = next_bytes(&mut source, &mut chunker, writer, &mut hash).await?;
            let Some(bytes) = bytes else { break };
            size_bytes += bytes.len() as u64;
            transfer.moved(bytes.len() as u64);
            if size_bytes > cap_bytes {
                return Err(over_cap(cap_bytes));
            }
            // Before the bytes are written, so the store never has more than the quota counts.
            if size_bytes > reserved_bytes {
                reserved_bytes = self.quota.extend(session, size_bytes).await?;
            }
            chunker.add(bytes);
            while let Some(chunk) = chunker.next().await {
                pass_on(chunk, writer, &mut hash).await?;
            }
        }
        if let Some(chunk) = chunker.rest().await {
            pass_on(chunk, writer, &mut hash).await?;
        }
        let digest = hash.finish().await.map_err(Error::internal)?;
        Ok(Received {
            size_bytes,
            checksum: Checksum::of(&digest),
        })
    }

    /// Compares the data with the stated size and checksums. A stated size of zero means unknown;
    /// checksums are compared as text.
    async fn compare(
        &self,
        session: &UploadSession,
        received: Received,
        stated_md5: Option<Checksum>,
    ) -> Result<Received> {
        // The record is read now, because a request may have changed its size or checksum.
        let record = session.record(&*self.registry).await?;
        let stated_bytes = record.image.size_bytes;
        let outcome = outcome_text(session.upload.on_failure);
        if stated_bytes != 0 && stated_bytes != received.size_bytes {
            return Err(invalid(format!(
                "Supplied size ({stated_bytes}) and size of the uploaded data ({}) did not \
                 match.{outcome}",
                received.size_bytes
            )));
        }
        let stated = [&record.image.checksum, &stated_md5];
        let mut stated = stated.into_iter().flatten();
        match stated.find(|stated| **stated != received.checksum) {
            Some(stated) => {
                metrics::checksum_mismatch();
                Err(invalid(format!(
                    "Supplied checksum ({stated}) and checksum of the uploaded data ({}) did \
                     not match.{outcome}",
                    received.checksum
                )))
            }
            None => Ok(received),
        }
    }

    /// Returns when another server has deleted the image. If the registry is not shared, every
    /// deletion is made by this process, which stops the upload itself.
    async fn deleted_by_other_server(&self, session: &UploadSession) {
        loop {
            tokio::time::sleep(DELETION_POLL).await;
            if !self.registry.is_shared() {
                continue;
            }
            // Other errors are ignored: an outage of the registry does not end an upload.
            let record = session.record(&*self.registry).await;
            if record.is_err_and(|error| error.kind() == Kind::DeletedMeanwhile) {
                return;
            }
        }
    }

    /// Makes the image active.
    async fn activate(
        &self,
        session: &UploadSession,
        location: Location,
        received: Received,
    ) -> Result<Arc<Record>> {
        modify(&session.image, async || {
            let record = session.record(&*self.registry).await?;
            // All other fields are those of the current record, not of the time the upload began.
            let mut image = record.image.clone();
            image.status = Status::Active;
            image.size_bytes = received.size_bytes;
            image.checksum = Some(received.checksum.clone());
            image.updated_at = now_after(image.updated_at);
            image.upload = None;
            image.data = Some(ImageData::new(
                location.clone(),
                received.size_bytes,
                Some(received.checksum.clone()),
            ));
            self.registry.replace(image, record.version).await
        })
        .await
    }

    /// Writes the failure of an upload into the record and has the cleaner remove the bytes that
    /// remain. Returns the status that the image has now.
    async fn end_failed(&self, id: &ImageId, upload: &Upload, is_removed: bool) -> Result<Status> {
        modify(id, async || {
            let Some(record) = self.registry.get(id).await? else {
                return Ok(Status::Deleted);
            };
            if !is_current(&record.image, upload.id) {
                self.cleaner.clean(*id);
                return Ok(record.image.status);
            }
            let image = after_failure(&record.image, upload.on_failure, is_removed);
            let status = image.status;
            self.registry.replace(image, record.version).await?;
            if !is_removed {
                self.cleaner.clean(*id);
            }
            Ok(status)
        })
        .await
    }
}

/// Returns the image after its upload failed. While bytes remain, the image is `killed` and names
/// the upload; the cleaner removes them and then requeues the image if `on_failure` says so.
fn after_failure(current: &Image, on_failure: OnFailure, is_removed: bool) -> Image {
    let status = match (on_failure, is_removed) {
        (OnFailure::Requeue, true) => Status::Queued,
        (OnFailure::Requeue, false) | (OnFailure::Kill, _) => Status::Killed,
    };
    let upload = current.upload.clone().filter(|_| !is_removed);
    Image {
        status,
        upload,
        updated_at: now_after(current.updated_at),
        ..current.clone()
    }
}

/// The sentence that Glance v1 appends to its error.
fn outcome_text(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Kill => " Setting image status to 'killed'.",
        OnFailure::Requeue => "",
    }
}

/// Returns the next bytes of the source. While a store that forwards waits for them, passes on the
/// bytes that have waited for [`MAX_DELAY`].
async fn next_bytes(
    source: &mut impl DataSource,
    chunker: &mut Chunker<'_>,
    writer: &mut dyn Writer,
    hash: &mut Md5Stream,
) -> Result<Option<Bytes>> {
    let mut next = std::pin::pin!(source.next());
    if let Some(wait) = chunker.due_in(MAX_DELAY).filter(|_| writer.forwards()) {
        match timeout(wait, next.as_mut()).await {
            Ok(bytes) => return bytes,
            Err(_) => {
                if let Some(chunk) = chunker.rest().await {
                    pass_on(chunk, writer, hash).await?;
                }
            }
        }
    }
    // The same future continues after a timeout, so no bytes of the source are lost.
    next.await
}

async fn pass_on(chunk: Bytes, writer: &mut dyn Writer, hash: &mut Md5Stream) -> Result<()> {
    writer.write(chunk.clone()).await?;
    hash.push(chunk).await;
    Ok(())
}
