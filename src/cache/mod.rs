//! Local cache of images whose data are in a remote store.
//!
//! The first request for an image starts a *fill*, which the [`Filler`]'s thread downloads into a
//! file of the cache. That request and all later ones read the growing file
//! ([`crate::transfer::PartialFile`]), so an image is downloaded once, no matter how many clients
//! ask for it at the same time. Readers receive the last bytes only after the MD5 of the whole file
//! was verified. A verified file gets a name that states its image, size, time and MD5
//! (`entry_name`); a restart trusts files that match their name and reads none.
//!
//! The cache never uses more than its limit: space is reserved for the whole image before its
//! first byte is requested. The cache does not authorize: the service calls it only after it has
//! checked the caller, the policy and the image's status.

mod accounting;
mod audit;
mod entry_name;
mod eviction;
mod fill;
mod fill_context;
mod fill_task;
mod filler;
mod folder;
mod image_cache;
mod lookup;
mod prefetch_queue;
mod range_fetcher;
mod range_plan;
mod staged_file;
mod usage;

use std::io;
use std::path::PathBuf;

pub use accounting::SpaceUsed;
pub use audit::CachedFile;
pub use fill::{FillOutcome, FillProgress, FillSource};
pub use fill_context::FillerOptions;
pub use filler::Filler;
pub use image_cache::{Cache, CacheOptions, CachedImage};
pub use prefetch_queue::{PrefetchQueue, QueuedImage};

/// The cache's folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("image_cache_dir = {}: the folder cannot be used: {cause}", folder.display())]
pub struct CacheError {
    /// `image_cache_dir`.
    pub folder: PathBuf,
    /// The system's error.
    pub cause: io::Error,
}
