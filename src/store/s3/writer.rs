//! Writing one image: in one request while it is small, in parts beyond that.
//!
//! A part is kept in memory, so that it can be sent again, as long as there is memory for
//! what has come of it. A part of known length is sent as it comes where there is none, or
//! where another upload waits for some; one of unknown length is sent as soon as it is large
//! enough, and waits until then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::etag_check::{ExpectedMd5, PartHash, ReceivedMd5};
use super::multipart_upload::MultipartUpload;
use super::object::S3Object;
use super::part_buffer::{PartBuffer, RetryablePart};
use super::part_memory::PartMemory;
use super::part_sizes::PartSizes;
use super::s3_error::{S3Error, unavailable};
use super::streamed_part::StreamedPart;
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Location, Upload};
use crate::md5::HashEngine;
use crate::store::Writer;

/// Longest time that whoever uploads waits for the removal of what failed. The cleaner
/// has more patience.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

/// What an upload is to become, and by which rules.
pub(super) struct S3Upload {
    pub(super) object: S3Object,
    /// The upload, which its object is marked with.
    pub(super) upload: Upload,
    pub(super) location: Location,
    pub(super) creates_bucket: bool,
    /// Images up to this size are sent in one request.
    pub(super) single_put_bytes: u64,
    pub(super) sizes: PartSizes,
    pub(super) parts_at_once: usize,
    pub(super) memory: PartMemory,
    /// For the MD5s of parts, where they are to be compared.
    pub(super) hashes: Option<HashEngine>,
}

/// An upload on its way to S3.
pub(super) struct S3Writer {
    plan: S3Upload,
    object: Arc<S3Object>,
    /// Bytes that are still to come, when that is known.
    expected: Option<u64>,
    filling: Option<CurrentPart>,
    multipart: Option<MultipartUpload>,
    /// Of the whole image, once it is known.
    checksum: Option<Checksum>,
    /// Whether S3 may know of an upload in parts.
    is_begun: bool,
    is_finished: bool,
}

/// The part that takes what comes in.
struct CurrentPart {
    data: PartData,
    hash: Option<PartHash>,
    /// Whether its length is certain, so that it can be sent as it comes.
    is_known: bool,
}

enum PartData {
    /// In memory, until it is full, with what it is compared with then.
    Buffered(PartBuffer, Option<ExpectedMd5>),
    /// On its way already.
    Streamed(StreamedPart),
}

type S3Result<T> = std::result::Result<T, S3Error>;

impl S3Writer {
    pub(super) fn new(plan: S3Upload, image_bytes: Option<u64>) -> Self {
        Self {
            object: Arc::new(plan.object.clone()),
            plan,
            expected: image_bytes,
            filling: None,
            multipart: None,
            checksum: None,
            is_begun: false,
            is_finished: false,
        }
    }

    /// Takes from the front of `bytes` what fits into one part, or has memory now.
    async fn fill(&mut self, bytes: &mut Bytes) -> Result<()> {
        if let Some(full) = self.filling.take_if(|filling| filling.is_full()) {
            self.dispatch(full)
                .await
                .map_err(S3Error::into_write_error)?;
        }
        let filling = match self.filling.take() {
            Some(filling) => filling,
            None => self.next_part()?,
        };
        let before = bytes.clone();
        let filled = self.fill_part(filling, bytes).await;
        let mut filling = filled.map_err(S3Error::into_write_error)?;
        if let Some(hash) = filling.as_mut().and_then(|filling| filling.hash.as_mut()) {
            hash.push(before.slice(..before.len() - bytes.len())).await;
        }
        self.filling = filling;
        Ok(())
    }

    /// `None` when the part was sent before it took any of the bytes.
    async fn fill_part(
        &mut self,
        mut filling: CurrentPart,
        bytes: &mut Bytes,
    ) -> S3Result<Option<CurrentPart>> {
        if filling.is_known && filling.is_kept() && self.plan.memory.is_short() {
            filling = self.start_streaming(filling).await?;
        }
        if let PartData::Buffered(part, _) = &mut filling.data
            && !part.try_fill(bytes)
        {
            let sendable_bytes = self.plan.sizes.sendable(part.capacity());
            if filling.is_known {
                filling = self.start_streaming(filling).await?;
            } else if part.len() >= sendable_bytes {
                self.dispatch(filling).await?;
                return Ok(None);
            } else {
                self.wait_to_fill(part, bytes).await?;
            }
        }
        if let (PartData::Streamed(passing), Some(multipart)) =
            (&mut filling.data, &mut self.multipart)
        {
            multipart.fill(passing, bytes).await?;
        }
        Ok(Some(filling))
    }

    /// A part to be filled.
    fn next_part(&self) -> Result<CurrentPart> {
        let number = self
            .multipart
            .as_ref()
            .map_or(1, MultipartUpload::next_number);
        let sizes = &self.plan.sizes;
        let planned = sizes.of(number).ok_or_else(too_many_parts)?;
        let left = self.expected.filter(|left| *left > 0);
        let whole = left.filter(|left| number == 1 && *left <= self.plan.single_put_bytes);
        let len = match left {
            Some(left) => whole.unwrap_or(planned.min(left)),
            None => planned,
        };
        // What is kept whole is compared with the MD5 of the image.
        let hashes = self.plan.hashes.as_ref().filter(|_| whole.is_none());
        let (hash, expected) = hashes.map(PartHash::new).unzip();
        let sendable_bytes = left.is_none().then(|| sizes.sendable(len));
        let memory = self.plan.memory.part(sendable_bytes);
        Ok(CurrentPart {
            data: PartData::Buffered(PartBuffer::new(len, memory), expected),
            hash,
            is_known: left.is_some(),
        })
    }

    /// Begins to send a part of known length that is not complete. What it has is sent, and
    /// its memory is free.
    async fn start_streaming(&mut self, filling: CurrentPart) -> S3Result<CurrentPart> {
        let PartData::Buffered(part, expected) = filling.data else {
            return Ok(filling);
        };
        let (hash, expected) = match (filling.hash, &self.plan.hashes) {
            (None, Some(hashes)) => {
                // The whole image in one part, which was to be compared with its MD5.
                let (mut hash, expected) = PartHash::new(hashes);
                for piece in part.pieces() {
                    hash.push(piece.clone()).await;
                }
                (Some(hash), Some(expected))
            }
            (hash, _) => (hash, expected),
        };
        let multipart = self.multipart().await?;
        let mut passing = multipart.stream_part(part.capacity(), expected).await?;
        for piece in part.pieces() {
            let mut piece = piece.clone();
            while !piece.is_empty() {
                multipart.fill(&mut passing, &mut piece).await?;
            }
        }
        Ok(CurrentPart {
            data: PartData::Streamed(passing),
            hash,
            is_known: true,
        })
    }

    async fn wait_to_fill(&mut self, part: &mut PartBuffer, bytes: &mut Bytes) -> S3Result<()> {
        match &mut self.multipart {
            None => part.fill(bytes).await,
            // A part that fails need not be waited for.
            Some(multipart) => multipart.until_part_fails(part.fill(bytes)).await?,
        }
        Ok(())
    }

    /// Sends a part that is not the whole image.
    async fn dispatch(&mut self, filling: CurrentPart) -> S3Result<()> {
        if let Some(hash) = filling.hash {
            hash.end();
        }
        match filling.data {
            PartData::Buffered(part, expected) => {
                self.multipart().await?.send(part, expected).await
            }
            PartData::Streamed(_) => Ok(()),
        }
    }

    /// The upload in parts, begun if need be.
    async fn multipart(&mut self) -> S3Result<&mut MultipartUpload> {
        let multipart = match self.multipart.take() {
            Some(multipart) => multipart,
            None => {
                self.is_begun = true;
                let upload = self.plan.upload.id;
                let begin = |object: Arc<S3Object>| async move { object.begin(upload).await };
                let upload_id = self.in_bucket(begin).await?;
                let object = Arc::clone(&self.object);
                MultipartUpload::new(object, upload_id, self.plan.parts_at_once)
            }
        };
        Ok(self.multipart.insert(multipart))
    }

    async fn finish(&mut self) -> S3Result<()> {
        let last = self.filling.take();
        if let Some(filling) = last {
            if self.multipart.is_some() {
                self.dispatch(filling).await?;
            } else if let PartData::Buffered(part, _) = filling.data {
                return self.put(part).await;
            }
        }
        match &mut self.multipart {
            Some(multipart) => multipart.complete().await,
            None => self.put(PartBuffer::empty()).await,
        }
    }

    /// Sends the whole image.
    async fn put(&self, part: PartBuffer) -> S3Result<()> {
        let (whole, upload) = (RetryablePart::new(part), self.plan.upload.id);
        let put = |object: Arc<S3Object>| {
            let load = whole.load();
            async move { object.put(load, upload).await }
        };
        let received: ReceivedMd5 = self.in_bucket(put).await?;
        match &self.checksum {
            Some(sent) if self.plan.hashes.is_some() => received.compare("PutObject", sent),
            _ => Ok(()),
        }
    }

    /// Asks for something, and once more when the bucket had to be made for it.
    async fn in_bucket<T, F>(&self, ask: impl Fn(Arc<S3Object>) -> F) -> S3Result<T>
    where
        F: Future<Output = S3Result<T>>,
    {
        match ask(Arc::clone(&self.object)).await {
            Err(failure) if self.plan.creates_bucket && failure.is_no_bucket() => {
                self.object.create_bucket().await?;
                ask(Arc::clone(&self.object)).await
            }
            result => result,
        }
    }

    /// Removes what S3 has; nothing is to be removed twice.
    async fn remove(&mut self) -> S3Result<()> {
        self.filling = None;
        match self.multipart.take() {
            Some(multipart) => multipart.abort().await,
            None if self.is_begun => {
                let since = self.plan.upload.started_at;
                self.object.abort_all(Some(since)).await
            }
            None => Ok(()),
        }
    }
}

impl CurrentPart {
    fn is_kept(&self) -> bool {
        matches!(self.data, PartData::Buffered(..))
    }

    fn is_full(&self) -> bool {
        match &self.data {
            PartData::Buffered(part, _) => part.is_full(),
            PartData::Streamed(passing) => passing.is_full(),
        }
    }
}

#[async_trait(?Send)]
impl Writer for S3Writer {
    /// A part that is on its way already waits for its next bytes.
    fn forwards(&self) -> bool {
        self.filling
            .as_ref()
            .is_some_and(|filling| !filling.is_kept())
    }

    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let before = bytes.len();
            self.fill(&mut bytes).await?;
            let taken = (before - bytes.len()) as u64;
            self.expected = self.expected.map(|left| left.saturating_sub(taken));
        }
        Ok(())
    }

    fn expect(&mut self, checksum: &Checksum) {
        self.checksum = Some(checksum.clone());
    }

    async fn commit(mut self: Box<Self>) -> Result<Location> {
        self.finish().await.map_err(S3Error::into_write_error)?;
        self.is_finished = true;
        Ok(self.plan.location.clone())
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.is_finished = true;
        match timeout(ABORT_LIMIT, self.remove()).await {
            Ok(removed) => removed.map_err(S3Error::into_write_error),
            Err(_) => Err(unavailable("The image storage media cannot be written.")
                .because("S3 did not remove an upload in time")),
        }
    }
}

impl Drop for S3Writer {
    /// An upload that nobody finished leaves nothing, if it can be helped: what is left of
    /// it then is removed by [`crate::store::Store::discard`].
    fn drop(&mut self) {
        if self.is_finished || !self.is_begun {
            return;
        }
        let upload_id = self.multipart.take().map(|multipart| multipart.upload_id());
        let (object, since) = (Arc::clone(&self.object), self.plan.upload.started_at);
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let removed = match upload_id {
                Some(upload_id) => object.abort(&upload_id).await,
                None => object.abort_all(Some(since)).await,
            };
            if let Err(failure) = removed {
                tracing::warn!(%failure, "an upload to S3 could not be removed yet");
            }
        });
    }
}

fn too_many_parts() -> Error {
    Error::new(
        Kind::TooLarge,
        "The image is too large for the image storage media.",
    )
    .because("no part is left; s3_store_upload_memory bounds how large parts can be")
}
