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
use super::passing::Passing;
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
    filling: Option<Filling>,
    multipart: Option<Multipart>,
    /// Whether S3 may know of an upload in parts.
    is_begun: bool,
    is_finished: bool,
}

/// The part that takes what comes in.
enum Filling {
    /// In memory, until it is full.
    Kept(Part),
    /// On its way already.
    Passed(Passing),
}

type Tried<T> = std::result::Result<T, Failure>;

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

    /// Takes from the front of `bytes` what fits into one part.
    async fn fill(&mut self, bytes: &mut Bytes) -> Result<()> {
        if let Some(full) = self.filling.take_if(|filling| filling.is_full()) {
            self.dispatch(full).await.map_err(Failure::writing)?;
        }
        let mut filling = match self.filling.take() {
            Some(filling) => filling,
            None => self.next_part().await?,
        };
        match (&mut filling, &mut self.multipart) {
            (Filling::Kept(part), _) => part.fill(bytes),
            (Filling::Passed(passing), Some(multipart)) => {
                let filled = multipart.fill(passing, bytes).await;
                filled.map_err(Failure::writing)?;
            }
            (Filling::Passed(_), None) => return Err(Error::internal("a part of no upload")),
        }
        self.filling = Some(filling);
        Ok(())
    }

    /// A part to be filled. Without memory for it, it is passed on as it comes if its length
    /// is certain; else it waits for memory.
    async fn next_part(&mut self) -> Result<Filling> {
        let number = self.multipart.as_ref().map_or(1, Multipart::next_number);
        let planned = self.plan.sizes.of(number).ok_or_else(too_many_parts)?;
        let left = self.expected.filter(|left| *left > 0);
        let len = match left {
            Some(left) if number == 1 && left <= self.plan.single_put_bytes => left,
            Some(left) => planned.min(left),
            None => planned,
        };
        match self.plan.memory.try_take(len) {
            Some(memory) => Ok(Filling::Kept(Part::new(len, memory))),
            None if left.is_some() => self.pass(len).await.map_err(Failure::writing),
            None => self.wait_for(len).await.map_err(Failure::writing),
        }
    }

    async fn pass(&mut self, len: u64) -> Tried<Filling> {
        let multipart = self.multipart().await?;
        Ok(Filling::Passed(multipart.pass(len).await?))
    }

    async fn wait_for(&mut self, len: u64) -> Tried<Filling> {
        let memory = self.plan.memory.clone();
        let taken = memory.take(len);
        let taken = match &mut self.multipart {
            None => taken.await,
            // A part that fails need not be waited for.
            Some(multipart) => multipart.meanwhile(taken).await?,
        };
        Ok(Filling::Kept(Part::new(len, taken)))
    }

    /// Sends a part that is not the whole image.
    async fn dispatch(&mut self, filling: Filling) -> Tried<()> {
        match filling {
            Filling::Kept(part) => self.multipart().await?.send(part).await,
            Filling::Passed(_) => Ok(()),
        }
    }

    /// The upload in parts, begun if need be.
    async fn multipart(&mut self) -> Tried<&mut Multipart> {
        let multipart = match self.multipart.take() {
            Some(multipart) => multipart,
            None => {
                self.is_begun = true;
                let begin = |object: Arc<Object>| async move { object.begin().await };
                let upload_id = self.in_bucket(begin).await?;
                let object = Arc::clone(&self.object);
                Multipart::new(object, upload_id, self.plan.parts_at_once)
            }
        };
        Ok(self.multipart.insert(multipart))
    }

    async fn finish(&mut self) -> Tried<()> {
        let last = self.filling.take();
        if let Some(filling) = last {
            if self.multipart.is_some() {
                self.dispatch(filling).await?;
            } else if let Filling::Kept(part) = filling {
                return self.put(part).await;
            }
        }
        match &mut self.multipart {
            Some(multipart) => multipart.complete().await,
            None => self.put(Part::empty()).await,
        }
    }

    /// Sends the whole image.
    async fn put(&self, part: Part) -> Tried<()> {
        let whole = Parcel::new(part);
        let put = |object: Arc<Object>| {
            let load = whole.load();
            async move { object.put(load).await }
        };
        self.in_bucket(put).await
    }

    /// Asks for something, and once more when the bucket had to be made for it.
    async fn in_bucket<T, F>(&self, ask: impl Fn(Arc<Object>) -> F) -> Tried<T>
    where
        F: Future<Output = Tried<T>>,
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
    async fn remove(&mut self) -> Tried<()> {
        self.filling = None;
        match self.multipart.take() {
            Some(multipart) => multipart.abort().await,
            None if self.is_begun => self.object.abort_all().await,
            None => Ok(()),
        }
    }
}

impl Filling {
    fn is_full(&self) -> bool {
        match self {
            Filling::Kept(part) => part.is_full(),
            Filling::Passed(passing) => passing.is_full(),
        }
    }
}

#[async_trait(?Send)]
impl Writer for S3Writer {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let before = bytes.len();
            self.fill(&mut bytes).await?;
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
