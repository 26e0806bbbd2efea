//! Writing an image: one object, or segments and what joins them.

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

/// Where an image goes, and in which layout.
pub(super) struct SwiftUpload {
    pub(super) container: Container,
    /// The object's name: the image's id.
    pub(super) object: String,
    /// The account's, for the location.
    pub(super) reference: String,
    pub(super) layout: ObjectLayout,
    /// Hashes segments, where they are to be compared.
    pub(super) hashes: Option<HashEngine>,
}

/// How an image becomes objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectLayout {
    /// One object of this length.
    Plain { length_bytes: u64 },
    /// Several, joined.
    Segments {
        /// Of all together, if that is known.
        length_bytes: Option<u64>,
        segment_bytes: u64,
        manifest: SwiftManifest,
        /// The most that a static manifest takes; none when there are no static ones.
        most_static: Option<usize>,
    },
}

/// An image on its way into Swift. Swift answers for one segment while the next is sent.
pub(super) struct SwiftWriter {
    target: SwiftUpload,
    current: Option<ObjectWriter>,
    ended: Option<SentObject>,
    segments: Vec<Segment>,
    /// Segments that Swift may have something of, or the one object.
    begun: u32,
    written_bytes: u64,
    /// Bytes past the announced length, which nobody keeps.
    surplus_bytes: u64,
    checksum: Option<Checksum>,
    finished: bool,
}

/// What an upload may have left.
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

    /// Refuses what cannot become an object, before any of it is sent.
    fn check(self) -> Result<()> {
        let Self::Segments {
            length_bytes: Some(length_bytes),
            segment_bytes,
            manifest,
            most_static,
        } = self
        else {
            return Ok(());
        };
        let segments = length_bytes.div_ceil(segment_bytes);
        let most = match (manifest, most_static) {
            (SwiftManifest::Static, Some(most)) => most as u64,
            _ => u64::from(MOST_SEGMENTS),
        };
        if segments > most {
            let message = "The image store does not take an image of this size.";
            let cause = format!("it would be {segments} segments, and {most} are the most");
            return Err(Error::new(Kind::TooLarge, message).because(cause));
        }
        Ok(())
    }
}

impl SwiftWriter {
    /// Begins the first object, so that what Swift has against it is known before any byte
    /// has come from the client.
    pub(super) async fn begin(target: SwiftUpload) -> Result<Self> {
        target.layout.check()?;
        let is_empty = target.layout.length_bytes() == Some(0);
        let mut writer = Self {
            target,
            current: None,
            ended: None,
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
        let object = &self.target.object;
        let begun = match self.target.layout {
            ObjectLayout::Plain { length_bytes } => {
                let begin = self
                    .target
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
                    return Err(SwiftError::answer("cutting an image", "too many segments"));
                }
                let left = length_bytes.map(|length| length - self.written_bytes);
                let length_bytes = left.map(|left| left.min(segment_bytes));
                let hash = self.target.hashes.as_ref().map(HashEngine::stream);
                let name = segment(object, self.begun + 1);
                let container = &self.target.container;
                container.begin(&name, length_bytes, hash).await?
            }
        };
        // Before that Swift has no byte of it, and what has its name is another upload's.
        self.begun += 1;
        self.current = Some(begun);
        Ok(())
    }

    /// Bytes that the current object still takes; `u64::MAX` when there is no end to it.
    fn room_bytes(&self) -> u64 {
        let left = match self.target.layout.length_bytes() {
            Some(length) => length - self.written_bytes,
            None => u64::MAX,
        };
        let current = self.current.as_ref().map_or(0, ObjectWriter::size_bytes);
        match self.target.layout {
            ObjectLayout::Plain { .. } => left,
            ObjectLayout::Segments { segment_bytes, .. } => left.min(segment_bytes - current),
        }
    }

    async fn take(&mut self, mut bytes: Bytes) -> SwiftResult<()> {
        while !bytes.is_empty() {
            if self.target.layout.length_bytes() == Some(self.written_bytes) {
                self.surplus_bytes += bytes.len() as u64;
                return Ok(());
            }
            if self.current.is_none() {
                self.begin_object().await?;
            }
            let room = usize::try_from(self.room_bytes()).unwrap_or(usize::MAX);
            let piece = bytes.split_to(room.min(bytes.len()));
            self.written_bytes += piece.len() as u64;
            if let Some(current) = &mut self.current {
                current.push(piece).await?;
            }
            if self.room_bytes() == 0 {
                self.end_object().await?;
            }
        }
        Ok(())
    }

    /// Ends the current object, when Swift has the one before it.
    async fn end_object(&mut self) -> SwiftResult<()> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        let before = self.ended.replace(current.end().await?);
        if let Some(before) = before {
            self.segments.push(before.done().await?);
        }
        Ok(())
    }

    async fn complete(&mut self) -> SwiftResult<()> {
        let length = self.target.layout.length_bytes();
        if self.surplus_bytes > 0 || length.is_some_and(|length| length != self.written_bytes) {
            let problem = "the data are not of the announced length";
            return Err(SwiftError::answer("completing an image", problem));
        }
        let container = &self.target.container;
        if self.written_bytes == 0 {
            // Nobody needs to be told of an end without anything before it.
            self.current = None;
            return container.put_empty(&self.target.object).await;
        }
        self.end_object().await?;
        if let Some(ended) = self.ended.take() {
            self.segments.push(ended.done().await?);
        }
        match self.target.layout {
            ObjectLayout::Plain { .. } => self.compare(),
            ObjectLayout::Segments {
                manifest,
                most_static,
                ..
            } => {
                let joined = LargeObject {
                    session: &self.target.container.session,
                    container: &self.target.container.name,
                    mark: &self.target.container.mark,
                    object: &self.target.object,
                    segments: &self.segments,
                };
                joined.write(manifest, most_static).await
            }
        }
    }

    /// Compares an object that was not cut with the MD5 of the image.
    fn compare(&self) -> SwiftResult<()> {
        match (&self.checksum, &self.segments[..]) {
            (Some(checksum), [object]) => object.compare(checksum),
            _ => Ok(()),
        }
    }

    /// Lets go of what is being sent, and says what Swift may have of it.
    fn take_leftovers(&mut self) -> Leftovers {
        self.finished = true;
        self.current = None;
        self.ended = None;
        let object = &self.target.object;
        let objects = (1..=self.begun).map(|number| match self.target.layout {
            ObjectLayout::Plain { .. } => object.clone(),
            ObjectLayout::Segments { .. } => segment(object, number),
        });
        Leftovers {
            objects: objects.collect(),
            container: self.target.container.clone(),
        }
    }
}

impl Leftovers {
    /// Removes it. What Swift still works on is older than its removal, and loses.
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
        // What fails from here on is for `discard`.
        self.finished = true;
        self.complete().await.map_err(write_error)?;
        let SwiftUpload {
            container,
            object,
            reference,
            ..
        } = &self.target;
        let uri = by_reference(reference, &container.name, object);
        Location::parse(&uri).map_err(Error::internal)
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        self.take_leftovers().remove().await.map_err(write_error)
    }
}

impl Drop for SwiftWriter {
    /// An upload that nobody finished leaves nothing, or else the registry knows of it.
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let leftovers = self.take_leftovers();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = leftovers.remove().await {
                    tracing::warn!(%error, "what an upload left in Swift is still there");
                }
            });
        }
    }
}
