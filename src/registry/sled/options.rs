//! What an operator says about the embedded registry.

use std::path::PathBuf;

/// Where the embedded registry is, and what it may use.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// Its folder; made when it is not there.
    pub folder: PathBuf,
    /// Memory for sled's own cache, in bytes.
    pub cache_bytes: u64,
}
