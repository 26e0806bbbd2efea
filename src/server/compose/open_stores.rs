//! The stores without a server, for `glance-manage`.

use super::stores::open_stores;
use crate::config::Config;
use crate::md5::HashEngine;
use crate::server::start_error::StartError;
use crate::store::Stores;
use crate::transfer::BlockingThreads;
use crate::transfer::disk::{Disk, IoBackend};

/// The configured stores and the threads that they need. No quota or policy applies to them.
pub struct OpenStores {
    /// The stores.
    pub stores: Stores,
    /// The threads that read and remove files.
    _blocking: BlockingThreads,
}

impl OpenStores {
    /// Opens every configured store.
    ///
    /// # Errors
    /// [`StartError`] for the first store that cannot be opened.
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
