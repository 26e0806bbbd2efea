//! The verbs of the Image service and the rules of Glance behind them.
//!
//! Every API version calls the same verbs; no file here knows a header or a status code.
//! [`Service`] is the image service of `glance-api`, [`RegistryService`] the one of
//! `glance-registry`. Both use [`Catalog`] for verbs that need records only.
//!
//! * `create`, `update`, `delete`, `restore`, `download`, `cache_admin`: verbs of [`Service`].
//! * `attach_data`, `upload_session`, `upload`, `copy`, `chunker`, `active_uploads`, `quota`,
//!   `external_source`: how data reach a store.
//! * `show`, `list`, `members`, `authorization`: verbs and rules of [`Catalog`].
//! * `background`: work without a request. `registry_api`: verbs of [`RegistryService`].
//!
//! Every change of a record goes through [`mod@modify`]: read, decide, compare and swap, and repeat if
//! another writer was faster.

mod active_uploads;
mod apply;
mod attach_data;
mod authorization;
mod background;
mod cache_admin;
mod catalog;
mod chunker;
mod clock;
mod copy;
mod create;
mod delete;
mod download;
mod errors;
mod external_source;
mod limits;
mod list;
mod members;
mod modify;
mod quota;
mod registry_api;
mod restore;
mod show;
#[cfg(test)]
mod tests;
mod update;
mod upload;
mod upload_session;
mod uploads;

use std::sync::Arc;

use tokio::sync::Semaphore;

use self::background::UnconfirmedWrites;
use self::external_source::ExternalSources;
use self::quota::Quota;
use self::uploads::Uploads;
use crate::cache::Cache;
use crate::md5::HashEngine;
use crate::registry::Registry;
use crate::store::Stores;
use crate::transfer::BlockPool;

pub use active_uploads::ActiveUploads;
pub use apply::Purge;
pub use authorization::Authorization;
pub use background::{
    AuditOptions, Auditor, Cleaner, Cleanup, CleanupQueue, Heartbeat, Maintenance, Recovered,
    Scrubbed, Scrubber, ScrubberReceiver, prefetch,
};
pub use catalog::Catalog;
pub use download::Download;
pub use errors::not_found;
pub use limits::Limits;
pub use list::{ListRequest, Page, RedactedRecord};
pub use modify::modify;
pub use registry_api::RegistryService;
pub use upload_session::{DataSource, UploadData};

/// The verbs of the image service that touch image data. Shared by all workers.
pub struct Service {
    catalog: Arc<Catalog>,
    uploads: Arc<Uploads>,
    maintenance: Arc<Maintenance>,
    sources: ExternalSources,
    stores: Stores,
    hashes: HashEngine,
    cache: Option<Cache>,
}

/// The parts that a [`Service`] is made of.
pub struct ServiceParts {
    /// The image records.
    pub registry: Arc<dyn Registry>,
    /// The stores of image data.
    pub stores: Stores,
    /// Computes MD5 sums.
    pub hashes: HashEngine,
    /// Buffers for uploads.
    pub blocks: BlockPool,
    /// The operator's limits.
    pub limits: Limits,
    /// Removes data in the background.
    pub cleaner: Cleaner,
    /// Keeps images of other servers on this node; `None` to cache nothing.
    pub cache: Option<Cache>,
}

impl Service {
    /// Creates the service. Nothing runs in the background before `server` starts the threads.
    pub fn new(parts: ServiceParts) -> Self {
        let ServiceParts {
            registry,
            stores,
            hashes,
            blocks,
            limits,
            cleaner,
            cache,
        } = parts;
        let limits = Arc::new(limits);
        let (active, unconfirmed) = (
            ActiveUploads::default(),
            Arc::<UnconfirmedWrites>::default(),
        );
        let uploads = Uploads {
            registry: Arc::clone(&registry),
            hashes: hashes.clone(),
            blocks,
            quota: Quota::new(Arc::clone(&registry), limits.owner.bytes),
            copies: Semaphore::new(limits.copies),
            limits: Arc::clone(&limits),
            active: active.clone(),
            cleaner: cleaner.clone(),
            unconfirmed: Arc::clone(&unconfirmed),
        };
        let maintenance = Maintenance::new(
            Arc::clone(&registry),
            stores.clone(),
            Arc::clone(&limits),
            active,
            cleaner,
            unconfirmed,
            cache.clone(),
        );
        Self {
            uploads: Arc::new(uploads),
            maintenance: Arc::new(maintenance),
            sources: ExternalSources::new(stores.clone(), Arc::clone(&limits)),
            catalog: Arc::new(Catalog::new(registry, limits)),
            stores,
            hashes,
            cache,
        }
    }

    /// Returns the verbs that need records only.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Returns the work without a request, for the threads of `server`.
    pub fn maintenance(&self) -> &Arc<Maintenance> {
        &self.maintenance
    }

    /// Returns the image cache of this node.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Returns the uploads that run in this process.
    pub fn active_uploads(&self) -> &ActiveUploads {
        &self.uploads.active
    }

    /// Returns the handle of the cleaner.
    pub fn cleaner(&self) -> &Cleaner {
        &self.uploads.cleaner
    }
}
