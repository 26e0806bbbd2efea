//! What an operator says about the embedded registry.

use std::path::PathBuf;
use std::time::Duration;

use crate::image::OwnerLimits;

/// Most writes of one commit, which bounds how long the first of them waits.
pub(super) const MAX_GROUP_LEN: usize = 512;

/// Where the embedded registry is, and what it may use.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Its folder; created when it is missing.
    pub folder: PathBuf,
    /// Memory for sled's own cache, in bytes.
    pub cache_bytes: u64,
    /// Longest time that the journal takes to reach the disk; after a longer one the registry
    /// is only read.
    pub flush_limit: Duration,
    /// Disk space that is kept for deletions and the ends of uploads, in bytes.
    pub reserve_bytes: u64,
    /// Most deleted images of one owner that are remembered; `None` for any number.
    pub max_deleted_images: Option<u64>,
    /// What the images of one owner may take up.
    pub owner_limits: OwnerLimits,
}
