//! The stores of a node that need not run, for looking after them.

use super::start_error::StartError;
use super::stores::open_stores;
use crate::config::Config;
use crate::md5::HashEngine;
use crate::store::Stores;
use crate::transfer::BlockingThreads;
use crate::transfer::disk::{Disk, IoBackend};

/// The stores as they are, with nobody's rules between.
pub struct OpenStores {
    /// Where image data are.
    pub stores: Stores,
    /// What files are looked at and removed by.
    _blocking: BlockingThreads,
}

impl OpenStores {
    /// Opens every configured store.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let blocking = BlockingThreads::start(config.data.blocking_threads);
        let blocking = blocking.map_err(StartError::Threads)?;
        let hashes = HashEngine::start(1).map_err(StartError::Threads)?;
        let disk = Disk::new(IoBackend::Threads, blocking.handle());
        Ok(Self {
            stores: open_stores(config, disk, &hashes)?,
            _blocking: blocking,
        })
    }
}
