//! The stores of image data: the [`Store`] trait and its backends (files, S3, Swift, web servers).
//!
//! The service reads and writes image data only through this trait. An object is complete or does
//! not exist: a [`Writer`] makes it visible with `commit`. Every upload is recorded in the registry
//! before its first byte is written, so that [`Store::discard`] can remove what a crash left.

#[doc(hidden)]
pub mod conformance;
mod file;
mod http;
mod metered;
mod name_taken;
mod s3;
mod stores;
mod swift;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::image::{Checksum, ImageId, Location, Timestamp, Upload};
use crate::transfer::Payload;

pub use file::{FileIo, FileStore, FileStoreError, FileStoreOptions, file_name_in};
pub use http::{HttpStore, HttpStoreOptions};
pub use s3::{BucketUrl, Checksums, S3Store, S3StoreError, S3StoreOptions};
pub use stores::{Stores, store_of_scheme};
pub use swift::{SwiftEndpoint, SwiftOptions, SwiftResources, SwiftStore, SwiftStoreError};

/// A range of an object to read, and the size of the whole according to the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRange {
    /// Offset of the first byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// Size that the whole object must have, in bytes.
    pub object_bytes: u64,
}

/// An entry of a store whose name is one that this program gives to image data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// The image or the upload that the name stands for.
    pub key: StoredKey,
    /// Approximate size in bytes: manifests of large objects may or may not be counted.
    pub size_bytes: u64,
    /// Time of the last write; `None` if the backend does not report it.
    pub written_at: Option<Timestamp>,
}

/// The image or upload that the name of a store's entry stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoredKey {
    /// The data of an image.
    Image(ImageId),
    /// The data of an unfinished upload.
    Upload(Uuid),
}

/// A backend for image data.
///
/// Futures are not `Send`: they stay on the worker that created them, because its io_uring instance
/// may own their buffers.
#[async_trait(?Send)]
pub trait Store: Send + Sync {
    /// Returns the schemes of the locations that this store reads. The first one is its name.
    fn schemes(&self) -> &'static [&'static str];

    /// Returns the store's name in records and metrics.
    fn name(&self) -> &'static str {
        self.schemes().first().copied().unwrap_or_default()
    }

    /// Returns the schemes whose objects a client may name as the source of an image. The store
    /// reads such objects with no credentials except those in the location, filters their
    /// addresses, and leaves them alone when the image is deleted.
    fn source_schemes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns true if the objects are files of this node, which need no cache.
    fn is_local(&self) -> bool {
        false
    }

    /// Returns true if the store serves any range of an object efficiently.
    fn serves_ranges(&self) -> bool {
        true
    }

    /// Opens a range of an object.
    ///
    /// # Errors
    /// `NotFound` if the object does not exist; `Internal` if it is not the one that the registry
    /// describes; `Unavailable` if the backend does not respond; `WholeOnly` if the backend sends
    /// objects only from their first byte on.
    async fn open(&self, location: &Location, range: ObjectRange) -> Result<Payload>;

    /// Returns the size of an object in bytes. It is needed for objects that a user names; the
    /// registry has the size of all others.
    ///
    /// # Errors
    /// `NotFound` if the object does not exist; `Unavailable` if the backend does not respond;
    /// `Internal` if it does not report the size; `Invalid` if the location names a forbidden
    /// address.
    async fn size(&self, location: &Location) -> Result<u64>;

    /// Starts to write an image's data. The upload must be in the registry already, so that
    /// [`Store::discard`] can remove its remains after a crash.
    ///
    /// # Errors
    /// `Conflict` if the store has data under the image's name; `TooLarge` if `size_hint_bytes`
    /// does not fit; `Unavailable` if the backend cannot write; `StoreReadOnly` if it never takes
    /// data.
    async fn create(
        &self,
        image: &ImageId,
        upload: &Upload,
        size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>>;

    /// Removes an object. Succeeds if it does not exist.
    ///
    /// # Errors
    /// `Unavailable` if the object may still exist.
    async fn delete(&self, location: &Location) -> Result<()>;

    /// Removes everything that an unfinished upload has written, and nothing that another upload
    /// has written under the image's name.
    ///
    /// # Errors
    /// `Unavailable` if something may still exist.
    async fn discard(&self, image: &ImageId, upload: &Upload) -> Result<()>;

    /// Lists the entries with names that this program gives, in the folder, bucket or container of
    /// new images. Returns `None` if the backend stores no images or cannot list them.
    ///
    /// # Errors
    /// `Unavailable` if the backend does not respond.
    async fn list_entries(&self) -> Result<Option<Vec<StoredEntry>>> {
        Ok(None)
    }

    /// Removes an entry that [`Store::list_entries`] has returned. Succeeds if it does not exist.
    ///
    /// # Errors
    /// `Unavailable` if something may still exist.
    async fn discard_entry(&self, _key: &StoredKey) -> Result<()> {
        Err(Error::internal("this store cannot list its entries"))
    }
}

/// An object that is being written. It becomes visible only with `commit`; if the writer is dropped
/// without it, the data are removed.
#[async_trait(?Send)]
pub trait Writer {
    /// Returns true if the writer needs whole blocks ([`crate::transfer::Block`]): aligned, and all
    /// of the same size except the last. Other writers are spared the copy into blocks.
    fn wants_blocks(&self) -> bool {
        false
    }

    /// Returns true if written bytes are forwarded to a server at once. Such a server times out an
    /// upload that stalls, so the caller must not hold back a few bytes to fill a block.
    fn forwards(&self) -> bool {
        false
    }

    /// Takes the next bytes. Returns when the writer can take more, which may be before these are
    /// written.
    ///
    /// # Errors
    /// `TooLarge` if the store is full; otherwise `Unavailable`. After an error the caller may only
    /// call `abort`.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Sets the MD5 of all written bytes. Called before `commit`, so that the store can compare it
    /// with what its backend has received.
    fn expect(&mut self, _checksum: &Checksum) {}

    /// Makes the object visible, and returns once it would survive a power cut.
    ///
    /// # Errors
    /// As [`Writer::write`], and `Conflict` if the image's name has been taken meanwhile. The
    /// caller must then remove the written data with [`Store::discard`].
    async fn commit(self: Box<Self>) -> Result<Location>;

    /// Removes the written data.
    ///
    /// # Errors
    /// `Unavailable` if something may still exist; [`Store::discard`] removes it later.
    async fn abort(self: Box<Self>) -> Result<()>;
}
