//! Writes one image: in one request if it is small, otherwise as a multipart upload.
//!
//! Normally a part is buffered in memory, so that its request can be retried. When memory is short,
//! a part of known length is streamed instead, i.e. sent while it arrives; a part of unknown length
//! is sent as soon as it has the minimum size, and the client waits for memory until then. See
//! `part_memory` for why this cannot deadlock.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::etag_check::{PartHash, ReceivedMd5};
use super::multipart_upload::MultipartUpload;
use super::object::S3Object;
use super::part_body::PartBody;
use super::part_buffer::PartBuffer;
use super::s3_error::{S3Error, unavailable};
use super::upload_plan::{CurrentPart, PartData, UploadPlan};
use crate::error::Result;
use crate::image::{Checksum, Location};
use crate::store::Writer;

/// Longest time that a failed upload waits for its removal; the cleaner removes the rest later.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

/// A running upload.
pub(super) struct S3Writer {
    plan: UploadPlan,
    object: Arc<S3Object>,
    /// Bytes that are still to arrive; `None` if the image's size is unknown.
    expected: Option<u64>,
    /// The part that takes the next bytes.
    current: Option<CurrentPart>,
    multipart: Option<MultipartUpload>,
    /// MD5 of the whole image, once it is known.
    checksum: Option<Checksum>,
    /// True once S3 may have a multipart upload to remove.
    is_begun: bool,
    is_finished: bool,
}

type S3Result<T> = std::result::Result<T, S3Error>;

impl S3Writer {
    pub(super) fn new(plan: UploadPlan, image_bytes: Option<u64>) -> Self {
        Self {
            object: Arc::new(plan.object.clone()),
            plan,
            expected: image_bytes,
            current: None,
            multipart: None,
            checksum: None,
            is_begun: false,
            is_finished: false,
        }
    }

    /// Takes from the front of `bytes` as much as fits into one part and has memory now.
    async fn fill(&mut self, bytes: &mut Bytes) -> Result<()> {
        if let Some(full) = self.current.take_if(|current| current.is_full()) {
            self.dispatch(full)
                .await
                .map_err(S3Error::into_write_error)?;
        }
        let current = match self.current.take() {
            Some(current) => current,
            None => {
                let number = self
                    .multipart
                    .as_ref()
                    .map_or(1, MultipartUpload::next_number);
                self.plan.part(number, self.expected)?
            }
        };
        // A reference to the same memory, to know which bytes the part has taken.
        let before = bytes.clone();
        let filled = self.fill_part(current, bytes).await;
        let mut current = filled.map_err(S3Error::into_write_error)?;
        if let Some(hash) = current.as_mut().and_then(|current| current.hash.as_mut()) {
            hash.push(before.slice(..before.len() - bytes.len())).await;
        }
        self.current = current;
        Ok(())
    }

    /// Adds bytes to a part. Returns `None` if the part was sent before it took any of them.
    async fn fill_part(
        &mut self,
        mut current: CurrentPart,
        bytes: &mut Bytes,
    ) -> S3Result<Option<CurrentPart>> {
        // Another upload waits for memory, which streaming frees.
        if current.has_known_length && current.is_buffered() && self.plan.memory.is_short() {
            current = self.start_streaming(current).await?;
        }
        if let PartData::Buffered(part, _) = &mut current.data
            && !part.try_fill(bytes)
        {
            let sendable_bytes = self.plan.sizes.sendable(part.capacity());
            if current.has_known_length {
                current = self.start_streaming(current).await?;
            } else if part.len() >= sendable_bytes {
                self.dispatch(current).await?;
                return Ok(None);
            } else {
                self.wait_to_fill(part, bytes).await?;
            }
        }
        if let (PartData::Streamed(streamed), Some(multipart)) =
            (&mut current.data, &mut self.multipart)
        {
            multipart.fill(streamed, bytes).await?;
        }
        Ok(Some(current))
    }

    /// Starts to stream a part of known length that is not full yet. Its buffered bytes are sent
    /// first, which releases their memory.
    async fn start_streaming(&mut self, current: CurrentPart) -> S3Result<CurrentPart> {
        let PartData::Buffered(part, expected) = current.data else {
            return Ok(current);
        };
        let (hash, expected) = match (current.hash, &self.plan.hashes) {
            (None, Some(hashes)) => {
                // The part was planned as the whole image, so it has no hash of its own yet.
                let (mut hash, expected) = PartHash::new(hashes);
                for chunk in part.chunks() {
                    hash.push(chunk.clone()).await;
                }
                (Some(hash), Some(expected))
            }
            (hash, _) => (hash, expected),
        };
        let multipart = self.multipart().await?;
        let mut streamed = multipart.stream_part(part.capacity(), expected).await?;
        for chunk in part.chunks() {
            let mut chunk = chunk.clone();
            while !chunk.is_empty() {
                multipart.fill(&mut streamed, &mut chunk).await?;
            }
        }
        Ok(CurrentPart {
            data: PartData::Streamed(streamed),
            hash,
            has_known_length: true,
        })
    }

    /// Waits for memory, and adds bytes to a part.
    async fn wait_to_fill(&mut self, part: &mut PartBuffer, bytes: &mut Bytes) -> S3Result<()> {
        match &mut self.multipart {
            None => part.fill(bytes).await,
            // If a part fails meanwhile, the upload fails at once instead of waiting for memory.
            Some(multipart) => multipart.until_part_fails(part.fill(bytes)).await?,
        }
        Ok(())
    }

    /// Sends a part of the multipart upload.
    async fn dispatch(&mut self, current: CurrentPart) -> S3Result<()> {
        if let Some(hash) = current.hash {
            hash.end();
        }
        match current.data {
            PartData::Buffered(part, expected) => {
                self.multipart().await?.send(part, expected).await
            }
            PartData::Streamed(_) => Ok(()),
        }
    }

    /// Returns the multipart upload, and creates it if necessary.
    async fn multipart(&mut self) -> S3Result<&mut MultipartUpload> {
        let multipart = match self.multipart.take() {
            Some(multipart) => multipart,
            None => {
                // Set before the request: if its response is lost, S3 has the upload all the same.
                self.is_begun = true;
                let upload = self.plan.upload.id;
                let begin =
                    |object: Arc<S3Object>| async move { object.create_multipart(upload).await };
                let upload_id = self.in_bucket(begin).await?;
                let object = Arc::clone(&self.object);
                MultipartUpload::new(object, upload_id, self.plan.parts_at_once)
            }
        };
        Ok(self.multipart.insert(multipart))
    }

    /// Sends the rest, and completes the object.
    async fn finish(&mut self) -> S3Result<()> {
        let last = self.current.take();
        if let Some(current) = last {
            if self.multipart.is_some() {
                self.dispatch(current).await?;
            } else if let PartData::Buffered(part, _) = current.data {
                return self.put(part).await;
            }
        }
        match &mut self.multipart {
            Some(multipart) => multipart.complete().await,
            None => self.put(PartBuffer::empty()).await,
        }
    }

    /// Sends the whole image in one request.
    async fn put(&self, part: PartBuffer) -> S3Result<()> {
        let (part, upload) = (part.complete(), self.plan.upload.id);
        let put = |object: Arc<S3Object>| {
            let body = PartBody::buffered(&part);
            async move { object.put(body, upload).await }
        };
        let received: ReceivedMd5 = self.in_bucket(put).await?;
        match &self.checksum {
            Some(sent) if self.plan.hashes.is_some() => received.compare("PutObject", sent),
            _ => Ok(()),
        }
    }

    /// Sends a request, and repeats it once after creating a missing bucket.
    async fn in_bucket<T, F>(&self, send: impl Fn(Arc<S3Object>) -> F) -> S3Result<T>
    where
        F: Future<Output = S3Result<T>>,
    {
        match send(Arc::clone(&self.object)).await {
            Err(failure) if self.plan.creates_bucket && failure.is_no_bucket() => {
                self.object.create_bucket().await?;
                send(Arc::clone(&self.object)).await
            }
            result => result,
        }
    }

    /// Removes the multipart upload, if there is one.
    async fn remove(&mut self) -> S3Result<()> {
        self.current = None;
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

#[async_trait(?Send)]
impl Writer for S3Writer {
    /// A streamed part is sent without delay, because S3 times out a request that stalls.
    fn forwards(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| !current.is_buffered())
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
                .because("S3 did not remove the failed upload in time")),
        }
    }
}

impl Drop for S3Writer {
    /// Removes an unfinished upload in the background. If that fails, the cleaner removes it later
    /// with [`crate::store::Store::discard`].
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
                tracing::warn!(%failure, "cannot remove a failed upload to S3; the cleaner tries again");
            }
        });
    }
}
