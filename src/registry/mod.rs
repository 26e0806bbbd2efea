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
mod record;
mod refusals;
mod remote;
mod stats;

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Usage};

pub use self::codec::{CodecError, MAX_RECORD_BYTES};
pub use self::documents::{Document, DocumentKey, DocumentQuery, MAX_DOCUMENT_BODY_BYTES};
pub use self::embedded::{EmbeddedOptions, EmbeddedRegistry, JournalReader, OpenError};
#[cfg(feature = "etcd")]
pub use self::etcd::{EtcdError, EtcdOptions, EtcdRegistry, EtcdTls};
pub use self::handover::{
    MessageError, RelayDone, SwitchableRegistry, read_message, serve_relay, write_message,
};
pub use self::record::{Record, Version};
pub use self::remote::{RemoteError, RemoteOptions, RemoteRegistry};
pub use self::stats::RegistryStats;

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
