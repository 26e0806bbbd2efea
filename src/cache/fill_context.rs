//! The components and options that every fill uses.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::md5::HashEngine;
use crate::store::Stores;
use crate::transfer::disk::Disk;

/// Limits of fills.
#[derive(Debug, Clone)]
pub struct FillerOptions {
    /// Ranges of one image that are downloaded at the same time.
    pub ranges: usize,
    /// Connections to stores that all fills share. Each fill has one more of its own, so that it
    /// always progresses.
    pub connections: usize,
    /// Length of a range, in bytes.
    pub range_bytes: u64,
}

/// Shared by all fills of the filler.
pub(super) struct FillContext {
    pub(super) stores: Stores,
    pub(super) hashes: HashEngine,
    pub(super) disk: Disk,
    pub(super) options: FillerOptions,
    /// Permits for connections beyond the first of each fill.
    pub(super) extra_connections: Arc<Semaphore>,
}
