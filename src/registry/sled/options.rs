//! What an operator says about the embedded registry.

use std::path::PathBuf;
use std::time::Duration;

use crate::image::OwnerLimits;

/// Most writes of one commit, which bounds how long the first of them waits.
pub(super) const MOST_IN_GROUP: usize = 512;

/// Where the embedded registry is, and what it may use.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// Its folder; made when it is not there.
    pub folder: PathBuf,
    /// Memory for sled's own cache, in bytes.
    pub cache_bytes: u64,
    /// Longest flush; after one that takes longer the registry is only read.
    pub flush_limit: Duration,
    /// What the images of one owner may take up.
    pub owner_limits: OwnerLimits,
}
