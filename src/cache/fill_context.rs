//! What fills work with.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::md5::HashEngine;
use crate::store::Stores;
use crate::transfer::disk::Disk;

/// What an operator allows fills.
#[derive(Debug, Clone)]
pub struct FillerOptions {
    /// Ranges of one image that are asked for at a time.
    pub ranges: usize,
    /// Connections to origins of all fills together; each fill has one in any case.
    pub connections: usize,
    /// Length of such a range, in bytes.
    pub range_bytes: u64,
}

/// What a fill works with.
pub(super) struct FillContext {
    pub(super) stores: Stores,
    pub(super) hashes: HashEngine,
    pub(super) disk: Disk,
    pub(super) options: FillerOptions,
    /// Connections beyond the first of each fill.
    pub(super) spare: Arc<Semaphore>,
}
