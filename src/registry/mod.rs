//! Image metadata: the records of images, durably stored.
//!
//! A registry stores records and answers queries about them; the rules about what may happen to an
//! image are in `service/`. Its only write is a compare-and-swap on the version of a record, so a
//! race between an upload and a deletion, or between two servers, is decided in one place.
//!
//! Drivers: [`EmbeddedRegistry`] on the local disk, [`RemoteRegistry`] on a registry server, and
//! etcd. [`SwitchableRegistry`] wraps one of them while a process hands over to its successor. All
//! of them pass [`conformance`].

mod codec;
#[doc(hidden)]
pub mod conformance;
mod documents;
mod embedded;
#[cfg(feature = "etcd")]
mod etcd;
mod handover;
mod index;
mod refusals;
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
pub use self::documents::{Document, DocumentKey, DocumentQuery, MAX_DOCUMENT_BODY_BYTES};
pub use self::embedded::{EmbeddedOptions, EmbeddedRegistry, JournalReader, OpenError};
#[cfg(feature = "etcd")]
pub use self::etcd::{EtcdError, EtcdOptions, EtcdRegistry, EtcdTls};
pub use self::handover::{
    MessageError, RelayDone, SwitchableRegistry, read_message, serve_relay, write_message,
};
use self::index::UnknownMarker;
pub use self::remote::{RemoteError, RemoteOptions, RemoteRegistry};

/// The number of a write. For the record of an image, the count of writes to it, from 1.
pub type Version = u64;

/// An image as one write left it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The image.
    pub image: Image,
    /// The number of the write.
    pub version: Version,
    /// See [`Record::rendered`].
    rendered: OnceLock<Box<[u8]>>,
    /// See [`Record::digest`]; computed on first use.
    digest: OnceLock<u64>,
}

impl AsRef<Image> for Record {
    fn as_ref(&self) -> &Image {
        &self.image
    }
}

impl Record {
    /// Returns the record of an image after the write with this number.
    pub fn new(image: Image, version: Version) -> Self {
        Self {
            image,
            version,
            rendered: OnceLock::new(),
            digest: OnceLock::new(),
        }
    }

    /// Returns a digest of the image, computed once.
    ///
    /// After a registry was restored from a backup, versions are assigned again, so another state
    /// of an image can have the version of one that was lost; its digest differs. The digest
    /// compares answers of one program and does not resist an attacker.
    pub fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            // Serialization cannot fail: all map keys of an image are texts.
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

/// A store of image records and documents. A write that it has acknowledged survives a power cut.
#[async_trait]
pub trait Registry: Send + Sync {
    /// Returns the record of an image, also of a deleted one; `None` if the identifier was never
    /// used.
    ///
    /// # Errors
    /// `Internal` if the record exists but is damaged; `Unavailable` if the registry cannot be
    /// reached.
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>>;

    /// Returns the record of an image if that is possible without waiting. `None` means unknown:
    /// the caller must use [`Registry::get`].
    fn try_get_cached(&self, _id: &ImageId) -> Option<Arc<Record>> {
        None
    }

    /// Adds an image whose identifier was never used.
    ///
    /// # Errors
    /// `Conflict` if the identifier is in use; `TooLarge` if the metadata exceed the size of a
    /// record, or the images of the owner would exceed the [`OwnerLimits`], which is decided
    /// atomically with the write; `Unavailable` if nothing can be written.
    ///
    /// [`OwnerLimits`]: crate::image::OwnerLimits
    async fn insert(&self, image: Image) -> Result<Arc<Record>>;

    /// Replaces the record if it still has the version `seen`.
    ///
    /// # Errors
    /// `Stale` if the record has changed since; otherwise as [`Registry::insert`].
    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>>;

    /// Removes the record of a deleted image, so that its identifier can be used again.
    ///
    /// # Errors
    /// `Stale` if the record has changed since; `Conflict` if the image is not deleted, its data
    /// still exist, or this registry cannot remove records; `Unavailable`.
    async fn purge(&self, id: &ImageId, _seen: Version) -> Result<()> {
        let message =
            format!("Image {id} cannot be purged: only the embedded registry can do that.");
        Err(Error::new(Kind::Conflict, message))
    }

    /// Returns one page of images in the query's order.
    ///
    /// # Errors
    /// `Invalid` if the marker names no image.
    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>>;

    /// Returns the usage of an owner's images; without an owner, that of images that have none.
    ///
    /// # Errors
    /// `Unavailable` if the registry cannot be reached.
    async fn usage(&self, owner: Option<&str>) -> Result<Usage>;

    /// Checks that records can be read and written, and returns how many there are.
    ///
    /// # Errors
    /// `Unavailable` with the reason if they cannot.
    async fn check(&self) -> Result<RegistryStats>;

    /// Returns a document; `None` if there is none with this key.
    ///
    /// # Errors
    /// `Conflict` if this registry stores no documents; `Unavailable`.
    async fn get_document(&self, _key: &DocumentKey) -> Result<Option<Arc<Document>>> {
        Err(refusals::no_documents(NO_DOCUMENTS))
    }

    /// Writes a document if it still has the version `seen`; zero creates it. The version in
    /// `document` is ignored; the returned document has the one that was assigned.
    ///
    /// # Errors
    /// `Conflict` if `seen` is zero and the document exists; `Stale` if it has another version
    /// than `seen`; `TooLarge` ([`MAX_DOCUMENT_BODY_BYTES`]); otherwise as
    /// [`Registry::get_document`].
    async fn put_document(&self, _document: Document, _seen: Version) -> Result<Arc<Document>> {
        Err(refusals::no_documents(NO_DOCUMENTS))
    }

    /// Removes a document if it still has the version `seen`.
    ///
    /// # Errors
    /// `Stale` if it has another version or does not exist; otherwise as
    /// [`Registry::get_document`].
    async fn delete_document(&self, _key: &DocumentKey, _seen: Version) -> Result<()> {
        Err(refusals::no_documents(NO_DOCUMENTS))
    }

    /// Returns one page of documents in the order of their keys.
    ///
    /// # Errors
    /// As [`Registry::get_document`].
    async fn list_documents(&self, _query: &DocumentQuery) -> Result<Vec<Arc<Document>>> {
        Err(refusals::no_documents(NO_DOCUMENTS))
    }

    /// Returns the images whose records exist but cannot be read; lists do not contain them.
    /// Empty if the driver cannot tell.
    fn unreadable(&self) -> Vec<ImageId> {
        Vec::new()
    }

    /// Returns true if answers reflect the current state, and false if they may be as old as the
    /// last contact with a remote registry.
    fn is_current(&self) -> bool {
        true
    }

    /// Returns true if other processes may write to this registry too.
    fn is_shared(&self) -> bool {
        false
    }
}

/// The cause of [`refusals::no_documents`] for a registry server that speaks the legacy protocol.
const NO_DOCUMENTS: &str = "documents need the embedded registry, etcd or glance-registry";

/// Retry delay that clients are given while a remote registry cannot be reached: it is back
/// soon, or another server takes over.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Returns the error for a remote registry that cannot be reached.
fn unavailable(message: &str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, message).because(cause)
}

/// The number of images in a registry and their usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryStats {
    /// The usage of all images.
    pub usage: Usage,
    /// Images by status, in the order of [`Status::ALL`].
    counts: [usize; Status::ALL.len()],
}

impl RegistryStats {
    /// Returns the number of images in each status.
    pub fn by_status(&self) -> impl Iterator<Item = (Status, usize)> {
        Status::ALL.into_iter().zip(self.counts)
    }

    /// Returns the figures that a registry server has sent.
    fn from_counts(usage: Usage, counts: impl Iterator<Item = (Status, usize)>) -> Self {
        let mut stats = Self {
            usage,
            ..Self::default()
        };
        for (status, number) in counts {
            stats.update(status, |_| number);
        }
        stats
    }

    fn increment(&mut self, status: Status) {
        self.update(status, |count| count + 1);
    }

    fn decrement(&mut self, status: Status) {
        self.update(status, |count| count.saturating_sub(1));
    }

    fn update(&mut self, status: Status, change: impl FnOnce(usize) -> usize) {
        let position = Status::ALL.iter().position(|other| *other == status);
        if let Some(count) = position.and_then(|position| self.counts.get_mut(position)) {
            *count = change(*count);
        }
    }
}
