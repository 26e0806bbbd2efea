//! Taking in an image's data.
//!
//! The image is `saving` in the registry, with the place its bytes go to, before the first
//! byte is written; it becomes `active` after the last is safe. Whatever happens between
//! leaves a record that says what there is to remove.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;
use uuid::Uuid;

use super::active_uploads::{QuotaTicket, UploadGuard};
use super::apply::over_cap;
use super::background::current_process_mark;
use super::chunker::Chunker;
use super::modify::modify;
use super::{Service, invalid, now, now_after};
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Image, ImageData, ImageId, Location, Md5Digest, Status, Upload};
use crate::md5::Md5Stream;
use crate::metrics::{self, Direction};
use crate::registry::Record;
use crate::store::{Store, Writer};

/// How often an upload looks whether another server has deleted its image.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long bytes that fill no block are kept back from a server that would give up an upload
/// of which nothing comes.
const KEPT_FOR: Duration = Duration::from_secs(1);

/// Where an upload's bytes come from.
pub trait DataSource: 'static {
    /// The next bytes, `None` after the last.
    ///
    /// # Errors
    /// `Timeout` and `Disconnected`; `Invalid` when what comes is not what was announced.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>>>;
}

/// Data that come with a request.
pub struct UploadData<S> {
    /// The bytes.
    pub source: S,
    /// How many there will be, when that is known.
    pub len_bytes: Option<u64>,
    /// Whether the sender says that they are just bytes; anything else is refused.
    pub is_octets: bool,
    /// The MD5 that the request states of them, beside the checksum in the record.
    pub stated_md5: Option<Md5Digest>,
}

/// An upload that is being entered into its image's record.
pub(super) struct UploadSession {
    image: ImageId,
    upload: Upload,
    /// What the client says there will be; zero says nothing.
    stated_bytes: u64,
    store: Arc<dyn Store>,
    guard: UploadGuard,
    /// Of an upload of which nobody has said how long it will be. Given up last.
    pub(super) place: Option<QuotaTicket>,
}

/// What came in.
struct Received {
    size_bytes: u64,
    checksum: Checksum,
}

impl UploadSession {
    /// Makes the image `saving`.
    pub(super) fn new(
        service: &Service,
        store: Arc<dyn Store>,
        image: &mut Image,
        len_bytes: Option<u64>,
    ) -> Self {
        // Nothing is known of what is neither announced nor stated: room is made as it comes.
        let reserved_bytes = len_bytes.unwrap_or(image.size_bytes);
        let mut session = Self::reserve(service, store, image, reserved_bytes);
        let grows = len_bytes.is_none() && reserved_bytes == 0;
        session.place = grows.then(|| service.active_uploads.enqueue(image.owner.as_deref()));
        image.status = Status::Saving;
        session
    }

    /// Names the upload in the image's record, which stays `queued` until it begins. Known
    /// as under way before the record is written, so that whoever deletes the image finds
    /// somebody to stop.
    pub(super) fn reserve(
        service: &Service,
        store: Arc<dyn Store>,
        image: &mut Image,
        reserved_bytes: u64,
    ) -> Self {
        let upload = Upload {
            id: Uuid::new_v4(),
            store: store.name().to_owned(),
            started_at: now(),
            reserved_bytes,
            node: Some(service.limits.node_name.clone()),
            process: current_process_mark(),
        };
        image.upload = Some(upload.clone());
        Self {
            image: image.id,
            stated_bytes: image.size_bytes,
            guard: service.active_uploads.begin(upload.id, image.id),
            place: None,
            upload,
            store,
        }
    }

    /// The image it is for.
    pub(super) fn image(&self) -> ImageId {
        self.image
    }

    /// Returns when the upload is told to stop.
    pub(super) async fn stopped(&self) {
        self.guard.stopped().await;
    }
}

impl Service {
    /// Takes in the data of an image that the registry has as `saving`. Goes on to its end,
    /// good or bad, also when nobody waits for it any more.
    pub(super) async fn upload<S: DataSource>(
        self: &Arc<Self>,
        session: UploadSession,
        data: UploadData<S>,
    ) -> Result<Arc<Record>> {
        let (image, upload) = (session.image, session.upload.id);
        let service = Arc::clone(self);
        let task = tokio::task::spawn_local(async move { service.take_in(session, data).await });
        match task.await {
            Ok(result) => result,
            Err(panicked) => {
                self.give_up(&image, upload, false).await?;
                Err(Error::internal(panicked))
            }
        }
    }

    async fn take_in<S: DataSource>(
        &self,
        session: UploadSession,
        data: UploadData<S>,
    ) -> Result<Arc<Record>> {
        let mut removed = false;
        let failure = match self.store_data(&session, data, &mut removed).await {
            Ok((location, received)) => match self.activate(&session, location, received).await {
                Ok(record) => return Ok(record),
                Err(error) => error,
            },
            Err(error) => error,
        };
        Err(self.fail(session, failure, removed).await)
    }

    /// Ends an upload that failed: what whoever waits for it is to be told.
    pub(super) async fn fail(
        &self,
        session: UploadSession,
        failure: Error,
        removed: bool,
    ) -> Error {
        let (image, upload) = (session.image, session.upload.id);
        metrics::upload_failed(failure.kind());
        // From here on nobody needs to be stopped: the cleaner may remove what is left.
        drop(session.guard);
        let given_up = self.give_up(&image, upload, removed).await;
        // And whoever waits for its room may have it.
        drop(session.place);
        match given_up {
            // Or active: then it is the answer of the registry that got lost.
            Ok(Status::Killed | Status::Active) => failure,
            Ok(_) => deleted_meanwhile(&image),
            Err(error) => {
                self.cleaner.clean(image);
                error
            }
        }
    }

    /// Writes and hashes everything, and compares it with what was promised.
    async fn store_data<S: DataSource>(
        &self,
        session: &UploadSession,
        data: UploadData<S>,
        removed: &mut bool,
    ) -> Result<(Location, Received)> {
        let stated_bytes = Some(session.stated_bytes).filter(|bytes| *bytes > 0);
        let size_hint_bytes = data.len_bytes.or(stated_bytes);
        let stated_md5 = data.stated_md5.as_ref().map(Checksum::of);
        let mut writer = session
            .store
            .create(&session.image, &session.upload, size_hint_bytes)
            .await?;
        let received = tokio::select! {
            biased;
            () = session.stopped() => Err(deleted_meanwhile(&session.image)),
            () = self.gone_elsewhere(session) => Err(deleted_meanwhile(&session.image)),
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
                *removed = writer.abort().await.is_ok();
                Err(error)
            }
        }
    }

    /// The copy loop: what comes goes to the hash and to the store at the same time.
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
        let cap = self.limits.image_size_cap_bytes;
        let mut hash = self
            .hashes
            .stream_with_window(self.limits.upload_window_bytes);
        let mut chunker = Chunker::new(&self.blocks, writer.wants_blocks());
        let mut size_bytes = 0;
        let mut room_bytes = session.upload.reserved_bytes;
        loop {
            let mut next = std::pin::pin!(source.next());
            let bytes = match chunker.due_in(KEPT_FOR) {
                Some(wait) if writer.forwards() => match timeout(wait, next.as_mut()).await {
                    Ok(bytes) => bytes,
                    Err(_) => {
                        if let Some(chunk) = chunker.rest().await {
                            pass_on(chunk, writer, &mut hash).await?;
                        }
                        next.await
                    }
                },
                _ => next.await,
            };
            let Some(bytes) = bytes? else { break };
            size_bytes += bytes.len() as u64;
            transfer.moved(bytes.len() as u64);
            if size_bytes > cap {
                return Err(over_cap(cap));
            }
            if size_bytes > room_bytes {
                room_bytes = self.extend_reservation(session, size_bytes).await?;
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

    /// Compares what came with what was stated, at reservation or with the data. A stated
    /// size of zero says nothing; checksums are compared as text.
    async fn compare(
        &self,
        session: &UploadSession,
        received: Received,
        stated_md5: Option<Checksum>,
    ) -> Result<Received> {
        let record = self.current(session).await?;
        let stated_bytes = record.image.size_bytes;
        if stated_bytes != 0 && stated_bytes != received.size_bytes {
            return Err(invalid(format!(
                "Supplied size ({stated_bytes}) and size of the uploaded data ({}) did not \
                 match. Setting image status to 'killed'.",
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
                     not match. Setting image status to 'killed'.",
                    received.checksum
                )))
            }
            None => Ok(received),
        }
    }

    /// The record, as long as this upload is the one that fills it.
    pub(super) async fn current(&self, session: &UploadSession) -> Result<Arc<Record>> {
        let record = self.registry.get(&session.image).await?;
        record
            .filter(|record| is_current(&record.image, session.upload.id))
            .ok_or_else(|| deleted_meanwhile(&session.image))
    }

    /// Returns when another server has deleted the image. One that shares no registry is told
    /// by whoever deletes it.
    async fn gone_elsewhere(&self, session: &UploadSession) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            // Else whoever deletes it tells us.
            if !self.registry.is_shared() {
                continue;
            }
            let current = self.current(session).await;
            if current.is_err_and(|error| error.kind() == Kind::DeletedMeanwhile) {
                return;
            }
        }
    }

    /// Makes the image active. Its metadata may have changed while its data came in.
    async fn activate(
        &self,
        session: &UploadSession,
        location: Location,
        received: Received,
    ) -> Result<Arc<Record>> {
        modify(&session.image, async || {
            let record = self.current(session).await?;
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

    /// Makes the image killed, unless it was deleted meanwhile, and has the cleaner
    /// remove the data that remain. Returns the status that the image has now.
    async fn give_up(&self, id: &ImageId, upload: Uuid, removed: bool) -> Result<Status> {
        modify(id, async || {
            let Some(record) = self.registry.get(id).await? else {
                return Ok(Status::Deleted);
            };
            if !is_current(&record.image, upload) {
                self.cleaner.clean(*id);
                return Ok(record.image.status);
            }
            let mut image = record.image.clone();
            image.status = Status::Killed;
            image.updated_at = now_after(image.updated_at);
            if removed {
                image.upload = None;
            }
            self.registry.replace(image, record.version).await?;
            if !removed {
                self.cleaner.clean(*id);
            }
            Ok(Status::Killed)
        })
        .await
    }
}

async fn pass_on(block: Bytes, writer: &mut dyn Writer, hash: &mut Md5Stream) -> Result<()> {
    writer.write(block.clone()).await?;
    hash.push(block).await;
    Ok(())
}

pub(super) fn is_current(image: &Image, upload: Uuid) -> bool {
    matches!(image.status, Status::Queued | Status::Saving)
        && image.upload.as_ref().is_some_and(|own| own.id == upload)
}

pub(super) fn deleted_meanwhile(id: &ImageId) -> Error {
    let message = format!("Image {id} was deleted while its data were arriving.");
    Error::new(Kind::DeletedMeanwhile, message)
}

/// Data need both formats, from the request or from the record.
pub(super) fn missing_format(image: &Image) -> Option<Error> {
    if image.disk_format.is_none() {
        return Some(invalid("Disk format is not specified."));
    }
    if image.container_format.is_none() {
        return Some(invalid("Container format is not specified."));
    }
    None
}

pub(super) fn wrong_content_type() -> Error {
    invalid("Content-Type must be application/octet-stream")
}
