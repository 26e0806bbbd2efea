//! Image metadata: what the node knows of each image, kept safe.
//!
//! A registry stores records and answers questions about them; the rules about what may
//! become of an image live in `service/`. Its only write is compare-and-swap, so that a
//! racing upload and delete, or two servers on one registry, are decided in one place.

mod codec;
#[doc(hidden)]
pub mod conformance;
mod embedded;
#[cfg(feature = "etcd")]
mod etcd;
mod handover;
mod index;
mod remote;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Usage};

pub use self::codec::{CodecError, MAX_RECORD_BYTES};
pub use self::embedded::{EmbeddedOptions, EmbeddedRegistry, JournalReader, OpenError};
#[cfg(feature = "etcd")]
pub use self::etcd::{EtcdError, EtcdOptions, EtcdRegistry, EtcdTls};
pub use self::handover::{
    MessageError, RelayDone, SwitchableRegistry, read_message, serve_relay, write_message,
};
pub use self::remote::{RemoteError, RemoteOptions, RemoteRegistry};

/// Counts the writes to one record, from 1.
pub type Version = u64;

/// An image as it was after one particular write.
#[derive(Debug, Clone)]
pub struct Record {
    /// What is known of it.
    pub image: Image,
    /// Which write this was.
    pub version: Version,
    /// See [`Record::rendered`].
    rendered: OnceLock<Box<[u8]>>,
    /// See [`Record::digest`], once somebody has asked for it.
    digest: OnceLock<u64>,
}

impl AsRef<Image> for Record {
    fn as_ref(&self) -> &Image {
        &self.image
    }
}

impl Record {
    /// An image as a write left it.
    pub fn new(image: Image, version: Version) -> Self {
        Self {
            image,
            version,
            rendered: OnceLock::new(),
            digest: OnceLock::new(),
        }
    }

    /// A digest of the image, made once. After a registry was restored from a backup, another
    /// image may have the same version as one that was lost; it has another digest. The digest
    /// is made for comparing answers of one program, and no defence against an attacker.
    pub fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            // Fails for no image: its keys are texts.
            let image = serde_json::to_vec(&self.image).unwrap_or_default();
            image.hash(&mut hasher);
            hasher.finish()
        })
    }

    /// Returns what `render` made of the image at the first call. An API keeps its most frequent
    /// response here: the bytes live as long as the record, so a change of the image, which
    /// makes a new record, never leaves stale ones. There is one slot, which belongs to the v1
    /// API (HEAD of an image); another API needs a slot of its own.
    pub fn rendered(&self, render: impl FnOnce(&Image) -> Box<[u8]>) -> &[u8] {
        self.rendered.get_or_init(|| render(&self.image))
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        (&self.image, self.version) == (&other.image, other.version)
    }
}

/// A registry. What it has acknowledged survives a power cut.
#[async_trait]
pub trait Registry: Send + Sync {
    /// The record of an image, also of a deleted one; `None` when the identifier was never
    /// taken.
    ///
    /// # Errors
    /// `Internal` when the record is there but damaged; `Unavailable` when the registry
    /// cannot be asked.
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>>;

    /// The record of an image, when it is at hand without waiting for anything. `None` says
    /// nothing: then it has to be got.
    fn try_get_cached(&self, _id: &ImageId) -> Option<Arc<Record>> {
        None
    }

    /// Adds an image whose identifier was never taken.
    ///
    /// # Errors
    /// `Conflict` when it was; `TooLarge` for more metadata than a record holds, and when
    /// the images of its owner would take up more than they may ([`OwnerLimits`]), which is
    /// decided with the write itself; `Unavailable` when nothing can be written.
    ///
    /// [`OwnerLimits`]: crate::image::OwnerLimits
    async fn insert(&self, image: Image) -> Result<Arc<Record>>;

    /// Puts a new state in the place of the one that was seen.
    ///
    /// # Errors
    /// `Stale` when the record has changed since; otherwise as [`Registry::insert`].
    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>>;

    /// Removes the record of a deleted image, so that its identifier can be taken again.
    ///
    /// # Errors
    /// `Stale` when the record has changed since; `Conflict` when the image is not deleted,
    /// or its data are still there, or this registry cannot forget; `Unavailable`.
    async fn purge(&self, id: &ImageId, _seen: Version) -> Result<()> {
        let message =
            format!("Image {id} cannot be forgotten: only the embedded registry can do that.");
        Err(Error::new(Kind::Conflict, message))
    }

    /// One page of images in the query's order.
    ///
    /// # Errors
    /// `Invalid` when the marker names no image.
    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>>;

    /// What the images of an owner take up; without one, those that nobody owns.
    ///
    /// # Errors
    /// `Unavailable` when the registry cannot be asked.
    async fn usage(&self, owner: Option<&str>) -> Result<Usage>;

    /// Whether records can be read and written, and how many there are.
    ///
    /// # Errors
    /// `Unavailable` with the reason when they cannot.
    async fn check(&self) -> Result<RegistryStats>;

    /// Images whose records are there and cannot be read: lists are without them. Empty where
    /// nobody can tell.
    fn unreadable(&self) -> Vec<ImageId> {
        Vec::new()
    }

    /// Whether what it answers certainly is how things are now, and not how they were when a
    /// registry elsewhere was last heard of.
    fn is_current(&self) -> bool {
        true
    }

    /// Whether other processes may write here too.
    fn is_shared(&self) -> bool {
        false
    }
}

/// When it is worth asking again a registry that is somewhere else: it is back soon, or
/// another one takes its place.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// A registry that is somewhere else cannot be asked.
fn unavailable(message: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, message).because(cause)
}

/// How many images there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryStats {
    /// What all of them take up.
    pub usage: Usage,
    counts: [usize; Status::ALL.len()],
}

impl RegistryStats {
    /// How many images have each status.
    pub fn by_status(&self) -> impl Iterator<Item = (Status, usize)> {
        Status::ALL.into_iter().zip(self.counts)
    }

    /// A census that somebody else has taken.
    fn from_counts(usage: Usage, counts: impl Iterator<Item = (Status, usize)>) -> Self {
        let mut census = Self {
            usage,
            ..Self::default()
        };
        for (status, number) in counts {
            census.of(status, |_| number);
        }
        census
    }

    fn increment(&mut self, status: Status) {
        self.of(status, |count| count + 1);
    }

    fn decrement(&mut self, status: Status) {
        self.of(status, |count| count.saturating_sub(1));
    }

    fn of(&mut self, status: Status, change: impl FnOnce(usize) -> usize) {
        let place = Status::ALL.iter().position(|other| *other == status);
        if let Some(count) = place.and_then(|place| self.counts.get_mut(place)) {
            *count = change(*count);
        }
    }
}
