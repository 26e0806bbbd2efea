//! Writes an image: as one object, or as segments and a manifest.
//!
//! The first object is started before any byte is requested from the client, so that a refusal by
//! Swift is known early. While the next segment is sent, Swift's response to the one before is
//! awaited.

use async_trait::async_trait;
use bytes::Bytes;

use super::listing::remove;
use super::location::by_reference;
use super::manifest::{LargeObject, Segment};
use super::names::{MOST_SEGMENTS, segment};
use super::object::{Container, ObjectWriter, SentObject};
use super::swift_error::{SwiftError, SwiftResult, write_error};
use crate::config::SwiftManifest;
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Location};
use crate::md5::HashEngine;
use crate::store::Writer;

/// The parameters of one upload.
pub(super) struct SwiftUpload {
    pub(super) container: Container,
    /// The object's name: the image's identifier.
    pub(super) object: String,
    /// The account's reference, for the location.
    pub(super) reference: String,
    pub(super) layout: ObjectLayout,
    /// Computes the MD5s of segments; `None` if they are not compared.
    pub(super) hashes: Option<HashEngine>,
}

/// How an image is stored as objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectLayout {
    /// One object of this length.
    Plain { length_bytes: u64 },
    /// Segments with a manifest.
    Segments {
        /// Length of the image, if it is known.
        length_bytes: Option<u64>,
        /// Length of each segment except the last.
        segment_bytes: u64,
        manifest: SwiftManifest,
        /// The most segments of a static manifest; `None` if the cluster does not support them.
        max_static: Option<usize>,
    },
}

/// Writes one image.
pub(super) struct SwiftWriter {
    upload: SwiftUpload,
    current: Option<ObjectWriter>,
    /// The segment before, whose response is awaited.
    sent: Option<SentObject>,
    segments: Vec<Segment>,
    /// Number of objects that Swift may have bytes of.
    begun: u32,
    written_bytes: u64,
    /// Bytes beyond the announced length, which are discarded.
    surplus_bytes: u64,
    checksum: Option<Checksum>,
    finished: bool,
}

/// The objects that an unfinished upload may have left.
struct Leftovers {
    container: Container,
    objects: Vec<String>,
}

impl ObjectLayout {
    fn length_bytes(self) -> Option<u64> {
        match self {
            Self::Plain { length_bytes } => Some(length_bytes),
            Self::Segments { length_bytes, .. } => length_bytes,
        }
    }

    /// Refuses an image that needs too many segments, before any of it is sent.
    fn check(self) -> Result<()> {
        let Self::Segments {
            length_bytes: Some(length_bytes),
            segment_bytes,
            manifest,
            max_static,
        } = self
        else {
            return Ok(());
        };
        let segments = length_bytes.div_ceil(segment_bytes);
        let max_segments = match (manifest, max_static) {
            (SwiftManifest::Static, Some(max_static)) => max_static as u64,
            _ => u64::from(MOST_SEGMENTS),
        };
        if segments > max_segments {
            let message = "The image store does not take an image of this size.";
            let cause = format!(
                "it would need {segments} segments, and at most {max_segments} are supported"
            );
            return Err(Error::new(Kind::TooLarge, message).because(cause));
        }
        Ok(())
    }
}

impl SwiftWriter {
    /// Starts the upload and its first object.
    pub(super) async fn begin(upload: SwiftUpload) -> Result<Self> {
        upload.layout.check()?;
        let is_empty = upload.layout.length_bytes() == Some(0);
        let mut writer = Self {
            upload,
            current: None,
            sent: None,
            segments: Vec::new(),
            begun: 0,
            written_bytes: 0,
            surplus_bytes: 0,
            checksum: None,
            finished: false,
        };
        if !is_empty {
            writer.begin_object().await.map_err(write_error)?;
        }
        Ok(writer)
    }

    async fn begin_object(&mut self) -> SwiftResult<()> {
        let object = &self.upload.object;
        let begun = match self.upload.layout {
            ObjectLayout::Plain { length_bytes } => {
                let begin = self
                    .upload
                    .container
                    .begin(object, Some(length_bytes), None);
                begin.await?
            }
            ObjectLayout::Segments {
                length_bytes,
                segment_bytes,
                ..
            } => {
                if self.begun == MOST_SEGMENTS {
                    return Err(SwiftError::malformed(
                        "splitting an image",
                        "too many segments",
                    ));
                }
                let left = length_bytes.map(|length| length - self.written_bytes);
                let length_bytes = left.map(|left| left.min(segment_bytes));
                let hash = self.upload.hashes.as_ref().map(HashEngine::stream);
                let name = segment(object, self.begun + 1);
                let container = &self.upload.container;
                container.begin(&name, length_bytes, hash).await?
            }
        };
        // Counted only now: until Swift accepts the request, an object of this name belongs to
        // another upload and must not be removed.
        self.begun += 1;
        self.current = Some(begun);
        Ok(())
    }

    /// Returns how many bytes the current object still takes; `u64::MAX` if its length is
    /// unlimited.
    fn remaining_bytes(&self) -> u64 {
        let left = match self.upload.layout.length_bytes() {
            Some(length) => length - self.written_bytes,
            None => u64::MAX,
        };
        let current = self.current.as_ref().map_or(0, ObjectWriter::size_bytes);
        match self.upload.layout {
            ObjectLayout::Plain { .. } => left,
            ObjectLayout::Segments { segment_bytes, .. } => left.min(segment_bytes - current),
        }
    }

    async fn take(&mut self, mut bytes: Bytes) -> SwiftResult<()> {
        while !bytes.is_empty() {
            if self.upload.layout.length_bytes() == Some(self.written_bytes) {
                self.surplus_bytes += bytes.len() as u64;
                return Ok(());
            }
            if self.current.is_none() {
                self.begin_object().await?;
            }
            let remaining = usize::try_from(self.remaining_bytes()).unwrap_or(usize::MAX);
            let chunk = bytes.split_to(remaining.min(bytes.len()));
            self.written_bytes += chunk.len() as u64;
            if let Some(current) = &mut self.current {
                current.push(chunk).await?;
            }
            if self.remaining_bytes() == 0 {
                self.end_object().await?;
            }
        }
        Ok(())
    }

    /// Ends the current object, and waits for Swift's response to the one before it.
    async fn end_object(&mut self) -> SwiftResult<()> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        // One response is awaited at a time, so that the next segment is sent meanwhile.
        let before = self.sent.replace(current.end().await?);
        if let Some(before) = before {
            self.segments.push(before.finish().await?);
        }
        Ok(())
    }

    async fn complete(&mut self) -> SwiftResult<()> {
        let length = self.upload.layout.length_bytes();
        if self.surplus_bytes > 0 || length.is_some_and(|length| length != self.written_bytes) {
            let problem = "the data do not have the announced length";
            return Err(SwiftError::malformed("completing an image", problem));
        }
        let container = &self.upload.container;
        if self.written_bytes == 0 {
            // Nothing was started, or a segment without bytes, whose request is cancelled.
            self.current = None;
            return container.put_empty(&self.upload.object).await;
        }
        self.end_object().await?;
        if let Some(ended) = self.sent.take() {
            self.segments.push(ended.finish().await?);
        }
        match self.upload.layout {
            ObjectLayout::Plain { .. } => self.compare(),
            ObjectLayout::Segments {
                manifest,
                max_static,
                ..
            } => {
                let joined = LargeObject {
                    session: &self.upload.container.session,
                    container: &self.upload.container.name,
                    mark: &self.upload.container.mark,
                    object: &self.upload.object,
                    segments: &self.segments,
                };
                joined.write(manifest, max_static).await
            }
        }
    }

    /// Compares an object without segments with the MD5 of the image.
    fn compare(&self) -> SwiftResult<()> {
        match (&self.checksum, &self.segments[..]) {
            (Some(checksum), [object]) => object.compare(checksum),
            _ => Ok(()),
        }
    }

    /// Cancels the requests, and returns the objects that Swift may have.
    fn take_leftovers(&mut self) -> Leftovers {
        self.finished = true;
        self.current = None;
        self.sent = None;
        let object = &self.upload.object;
        let objects = (1..=self.begun).map(|number| match self.upload.layout {
            ObjectLayout::Plain { .. } => object.clone(),
            ObjectLayout::Segments { .. } => segment(object, number),
        });
        Leftovers {
            objects: objects.collect(),
            container: self.upload.container.clone(),
        }
    }
}

impl Leftovers {
    /// Removes the objects. A PUT that Swift is still processing has an older timestamp than the
    /// DELETE, so the DELETE wins.
    async fn remove(self) -> SwiftResult<()> {
        let (session, container) = (&self.container.session, &self.container.name);
        for object in &self.objects {
            remove(session, container, object).await?;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Writer for SwiftWriter {
    fn forwards(&self) -> bool {
        true
    }

    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.take(bytes).await.map_err(write_error)
    }

    fn expect(&mut self, checksum: &Checksum) {
        self.checksum = Some(checksum.clone());
    }

    async fn commit(mut self: Box<Self>) -> Result<Location> {
        // If this fails, the caller removes the objects with `discard`.
        self.finished = true;
        self.complete().await.map_err(write_error)?;
        let SwiftUpload {
            container,
            object,
            reference,
            ..
        } = &self.upload;
        let uri = by_reference(reference, &container.name, object);
        Location::parse(&uri).map_err(Error::internal)
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.take_leftovers().remove().await.map_err(write_error)
    }
}

impl Drop for SwiftWriter {
    /// Removes the objects of an unfinished upload in the background. The registry still has the
    /// upload, so the cleaner removes what remains.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let leftovers = self.take_leftovers();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = leftovers.remove().await {
                    tracing::warn!(%error, "cannot remove the objects of a failed upload from Swift; the cleaner tries again");
                }
            });
        }
    }
}
