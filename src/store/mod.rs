//! Where image bytes are kept: one small trait, one folder or file a backend.

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

/// The part of an object that is wanted, and what the registry knows of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectRange {
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
    /// Bytes the whole object must have.
    pub object_bytes: u64,
}

/// Something that a store keeps under a name that this program gives to image data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// Whose data it is.
    pub key: StoredKey,
    /// About how many bytes it has: what joins parts may be counted, or not.
    pub size_bytes: u64,
    /// When it was written last; `None` when the backend does not say.
    pub written_at: Option<Timestamp>,
}

/// Whose data something in a store is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoredKey {
    /// An image's.
    Image(ImageId),
    /// An upload's that has not come to its end.
    Upload(Uuid),
}

/// A backend.
///
/// Futures stay on the worker that made them, since files may be in the hands of that
/// worker's ring.
#[async_trait(?Send)]
pub trait Store: Send + Sync {
    /// The schemes of the locations it understands; the first is its name.
    fn schemes(&self) -> &'static [&'static str];

    /// Its name in records and metrics.
    fn name(&self) -> &'static str {
        self.schemes().first().copied().unwrap_or_default()
    }

    /// Those of its schemes whose objects a client may name as an image's source: the store
    /// reads them with no authority but what the location itself carries, judges the address
    /// before it dials, and leaves the object alone when the image is deleted.
    fn source_schemes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its objects are in this node's own hands: then a cache has nothing to add.
    fn is_local(&self) -> bool {
        false
    }

    /// Whether it sends any part of an object as readily as the whole.
    fn serves_ranges(&self) -> bool {
        true
    }

    /// The wanted bytes of an object.
    ///
    /// # Errors
    /// `NotFound` when the object is not there; `Internal` when it is not what the registry
    /// says; `Unavailable` when the backend cannot be asked; `WholeOnly` when it sends an
    /// object from its first byte on alone.
    async fn open(&self, location: &Location, wanted: ObjectRange) -> Result<Payload>;

    /// How many bytes an object has. For objects that a user names: the registry knows of
    /// the others.
    ///
    /// # Errors
    /// `NotFound` when the object is not there; `Unavailable` when the backend cannot be
    /// asked, `Internal` when it does not know; `Invalid` when the location itself names an
    /// address that may not be reached.
    async fn size(&self, location: &Location) -> Result<u64>;

    /// Begins to write an image's data. The upload must be in the registry already: should
    /// the process end here, [`Store::discard`] removes what is left of it.
    ///
    /// # Errors
    /// `Conflict` when the store has data under the image's name; `TooLarge` when
    /// `size_hint_bytes` does not fit; `Unavailable` when nothing can be written;
    /// `StoreReadOnly` when this backend never takes data.
    async fn create(
        &self,
        image: &ImageId,
        upload: &Upload,
        size_hint_bytes: Option<u64>,
    ) -> Result<Box<dyn Writer>>;

    /// Removes an object; one that is not there is as good as removed.
    ///
    /// # Errors
    /// `Unavailable` when it is still there.
    async fn delete(&self, location: &Location) -> Result<()>;

    /// Removes whatever an upload that never completed has left, and nothing that another
    /// upload has written under the image's name.
    ///
    /// # Errors
    /// `Unavailable` when something is still there.
    async fn discard(&self, image: &ImageId, upload: &Upload) -> Result<()>;

    /// Everything that has a name of this program's giving, in the place where new images go.
    /// `None` when this backend keeps nothing of ours, or cannot tell.
    ///
    /// # Errors
    /// `Unavailable` when the backend cannot be asked.
    async fn list_entries(&self) -> Result<Option<Vec<StoredEntry>>> {
        Ok(None)
    }

    /// Removes something that [`Store::list_entries`] has told of; what is not there is as good as
    /// removed.
    ///
    /// # Errors
    /// `Unavailable` when something is still there.
    async fn discard_entry(&self, _of: &StoredKey) -> Result<()> {
        Err(Error::internal("this store tells of nothing that it keeps"))
    }
}

/// An object being written: pushed piece by piece, visible only after `commit`. Dropped
/// without it, nothing remains.
#[async_trait(?Send)]
pub trait Writer {
    /// Whether bytes are to come in whole blocks ([`crate::transfer::Block`]), aligned and of
    /// one size but for the last. Others are spared the copy into them.
    fn wants_blocks(&self) -> bool {
        false
    }

    /// Whether bytes are on their way to a server as soon as they are written. Such a server
    /// gives up an upload of which nothing comes, so a few bytes are not kept for a block.
    fn forwards(&self) -> bool {
        false
    }

    /// Takes the next bytes. Returns when there is room for more, which may be before
    /// these are written.
    ///
    /// # Errors
    /// `TooLarge` when the store is full; otherwise `Unavailable`. After an error only
    /// `abort` makes sense.
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Tells the MD5 of all that was written, once it is known and before `commit`, so that
    /// a store can compare it with what its backend has received.
    fn expect(&mut self, _checksum: &Checksum) {}

    /// Makes the object visible, and returns when it would survive a power cut.
    ///
    /// # Errors
    /// As [`Writer::write`], and `Conflict` when the image's name has been taken meanwhile;
    /// what was written is then for [`Store::discard`] to remove.
    async fn commit(self: Box<Self>) -> Result<Location>;

    /// Removes what was written.
    ///
    /// # Errors
    /// `Unavailable` when something is still there; [`Store::discard`] removes it later.
    async fn abort(self: Box<Self>) -> Result<()>;
}
