//! Settings of the embedded registry.

use std::path::PathBuf;
use std::time::Duration;

use crate::image::OwnerLimits;

/// Maximum number of writes in one commit. Bounds how long the first of them waits.
pub(super) const MAX_GROUP_LEN: usize = 512;

/// The folder of the embedded registry and its limits.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The folder; created if it is missing.
    pub folder: PathBuf,
    /// Memory for sled's own cache, in bytes.
    pub cache_bytes: u64,
    /// Maximum time of one write and sync of the journal. After a longer one the registry becomes
    /// read-only. Also the maximum time of one operation of sled.
    pub flush_limit: Duration,
    /// Disk space reserved for deletions and the ends of uploads, in bytes.
    pub reserve_bytes: u64,
    /// Maximum number of deleted images that are remembered per owner; `None` for any number.
    pub max_deleted_images: Option<u64>,
    /// The limits of the images of one owner.
    pub owner_limits: OwnerLimits,
}
