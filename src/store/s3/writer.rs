//! Writing one image: in one request while it is small, in parts beyond that.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::failure::{Failure, unavailable};
use super::memory::Memory;
use super::multipart::Multipart;
use super::object::Object;
use super::part::{Parcel, Part};
use super::part_sizes::PartSizes;
use crate::error::{Error, Kind, Result};
use crate::image::Location;
use crate::store::Writer;

/// Longest time that whoever uploads waits for the removal of what failed. The housekeeper
/// has more patience.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

/// What an upload is to become, and by which rules.
pub(super) struct Plan {
    pub(super) object: Object,
    pub(super) location: Location,
    pub(super) creates_bucket: bool,
    /// Images up to this size are sent in one request.
    pub(super) single_put_bytes: u64,
    pub(super) sizes: PartSizes,
    pub(super) parts_at_once: usize,
    pub(super) memory: Memory,
}

/// An upload on its way to S3.
pub(super) struct S3Writer {
    plan: Plan,
    object: Arc<Object>,
    /// Bytes that are still to come, when that is known.
    expected: Option<u64>,
    filling: Option<Part>,
    multipart: Option<Multipart>,
    /// Whether S3 may know of an upload in parts.
    is_begun: bool,
    is_finished: bool,
}

impl S3Writer {
    pub(super) fn new(plan: Plan, image_bytes: Option<u64>) -> Self {
        Self {
            object: Arc::new(plan.object.clone()),
            plan,
            expected: image_bytes,
            filling: None,
            multipart: None,
            is_begun: false,
            is_finished: false,
        }
    }

    /// A part to be filled, once there is memory for it.
    async fn new_part(&mut self) -> Result<Part> {
        let capacity = self.next_capacity()?;
        let memory = self.plan.memory.clone();
        let taken = memory.take(capacity);
        let taken = match &mut self.multipart {
            None => taken.await,
            // A part that fails need not be waited for.
            Some(multipart) => multipart.meanwhile(taken).await.map_err(Failure::writing)?,
        };
        Ok(Part::new(capacity, taken))
    }

    /// Bytes that the next part is to have.
    fn next_capacity(&self) -> Result<u64> {
        let number = self.multipart.as_ref().map_or(1, Multipart::next_number);
        let planned = self.plan.sizes.of(number).ok_or_else(too_many_parts)?;
        Ok(match self.expected {
            Some(bytes) if number == 1 && bytes <= self.plan.single_put_bytes => bytes.max(1),
            Some(bytes) if bytes > 0 => planned.min(bytes),
            _ => planned,
        })
    }

    /// Sends a part that is full, now that it cannot be the whole image.
    async fn send_part(&mut self, part: Part) -> std::result::Result<(), Failure> {
        if self.multipart.is_none() {
            self.is_begun = true;
            let upload_id = self
                .in_bucket(|object| async move { object.begin().await })
                .await?;
            let object = Arc::clone(&self.object);
            let multipart = Multipart::new(object, upload_id, self.plan.parts_at_once);
            self.multipart = Some(multipart);
        }
        match &mut self.multipart {
            Some(multipart) => multipart.send(part).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self) -> std::result::Result<(), Failure> {
        let last = self.filling.take();
        let Some(multipart) = &mut self.multipart else {
            let whole = Parcel::new(last.unwrap_or_else(Part::empty));
            let put = |object: Arc<Object>| {
                let whole = whole.clone();
                async move { object.put(&whole).await }
            };
            return self.in_bucket(put).await;
        };
        if let Some(part) = last {
            multipart.send(part).await?;
        }
        multipart.complete().await
    }

    /// Asks for something, and once more when the bucket had to be made for it.
    async fn in_bucket<T, F>(
        &self,
        ask: impl Fn(Arc<Object>) -> F,
    ) -> std::result::Result<T, Failure>
    where
        F: Future<Output = std::result::Result<T, Failure>>,
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
    async fn remove(&mut self) -> std::result::Result<(), Failure> {
        self.filling = None;
        match self.multipart.take() {
            Some(multipart) => multipart.abort().await,
            None if self.is_begun => self.object.abort_all().await,
            None => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl Writer for S3Writer {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            if let Some(part) = self.filling.take_if(|part| part.is_full()) {
                self.send_part(part).await.map_err(Failure::writing)?;
            }
            let mut part = match self.filling.take() {
                Some(part) => part,
                None => self.new_part().await?,
            };
            let before = bytes.len();
            part.fill(&mut bytes);
            self.filling = Some(part);
            let taken = (before - bytes.len()) as u64;
            self.expected = self.expected.map(|left| left.saturating_sub(taken));
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<Location> {
        self.finish().await.map_err(Failure::writing)?;
        self.is_finished = true;
        Ok(self.plan.location.clone())
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.is_finished = true;
        match timeout(ABORT_LIMIT, self.remove()).await {
            Ok(removed) => removed.map_err(Failure::writing),
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
        let object = Arc::clone(&self.object);
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let removed = match upload_id {
                Some(upload_id) => object.abort(&upload_id).await,
                None => object.abort_all().await,
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
