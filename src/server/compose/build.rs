//! Builds the components of a server in one straight line.
//!
//! The registry is opened last, because during a reload the predecessor cannot serve requests
//! that need it from then on.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::cache::Filler;
use crate::config::Config;
use crate::log;
use crate::md5::HashEngine;
use crate::registry::{Registry, SwitchableRegistry};
use crate::runtime;
use crate::service::{
    Auditor, Catalog, Cleaner, CleanupQueue, Heartbeat, Scrubber, Service, ServiceParts,
};
use crate::transfer::disk::{Disk, IoBackend};
use crate::transfer::{BlockPool, BlockingThreads};

use super::app::{App, CommonParts};
use super::cache;
use super::registry::open_registry;
use super::settings;
use super::stores::open_stores;
use crate::server::inherited::Predecessor;
use crate::server::start_error::StartError;

/// The most unused upload buffers that are kept for a few seconds, in blocks: 64 MiB.
const MAX_IDLE_BLOCKS: usize = 256;

/// Builds the components of `glance-api`, and cleans up after a previous process that crashed.
/// With a predecessor, it waits for the registry until the predecessor has closed it.
///
/// # Errors
/// [`StartError`] for the first component that cannot be built.
pub(in crate::server) fn build(
    config: Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<App, StartError> {
    let common = CommonParts::of(&config)?;
    let io_backend = common.io_backend;
    let Parts {
        service,
        registry,
        cleanups,
        blocking,
        filler,
    } = open_parts(&config, io_backend, Caching::AsConfigured, predecessor)?;
    // The threads hold weak references: the service is closed when the `App` is.
    let maintenance = || Arc::downgrade(service.maintenance());
    let cleaner = cleanups.start(maintenance())?;
    let (scrubber, scrub_requests) = Scrubber::new();
    let every = config.scrubber.scrub_in_api;
    let every = every.then_some(config.scrubber.wakeup_time);
    let scrubbing = scrub_requests.start(maintenance(), every)?;
    let abandoned_after = config.registry.upload_abandoned_after;
    let (heartbeat, watching) = Heartbeat::start(maintenance(), abandoned_after)?;
    let audit = settings::audit(&config);
    let audit = audit.map(|options| Auditor::start(maintenance(), options));
    let (auditor, auditing) = audit.transpose()?.unzip();
    let prefetches = config.cache.image_cache_prefetches;
    let cache_thread = filler
        .map(|filler| cache::start_thread(filler, maintenance(), io_backend, prefetches))
        .transpose()?;
    let catalog = Arc::clone(service.catalog());
    let mut app = common.app(config, catalog, Some(service), registry, blocking);
    app.scrubber = Some(scrubber);
    app.heartbeat = Some(heartbeat);
    app.auditor = auditor;
    app.threads = vec![cleaner, scrubbing, watching];
    app.threads.extend(auditing);
    app.cache_thread = cache_thread;
    Ok(app)
}

/// Builds the components of `glance-registry`, which has records but no image data. It does not
/// clean up interrupted uploads: uploads in the records are those of API servers, which may be in
/// progress.
///
/// # Errors
/// [`StartError`] for the first component that cannot be built.
pub(in crate::server) fn build_registry(
    config: Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<App, StartError> {
    let common = CommonParts::of(&config)?;
    let blocking = BlockingThreads::start(config.data.blocking_threads);
    let blocking = blocking.map_err(StartError::Threads)?;
    if let Some(predecessor) = predecessor {
        predecessor.claim_registry()?;
    }
    let registry = Arc::new(SwitchableRegistry::new(open_registry(&config)?));
    let limits = Arc::new(settings::limits(&config));
    let catalog = Catalog::new(Arc::clone(&registry) as Arc<dyn Registry>, limits);
    Ok(common.app(config, Arc::new(catalog), None, registry, blocking))
}

/// The service over an open registry, after recovery, and what the background threads need.
pub(in crate::server) struct Parts {
    pub(in crate::server) service: Arc<Service>,
    pub(in crate::server) registry: Arc<SwitchableRegistry>,
    /// The queue of the cleaner.
    pub(in crate::server) cleanups: CleanupQueue,
    /// The threads that read, write and remove files.
    pub(in crate::server) blocking: BlockingThreads,
    /// The cache filler, if the image cache is enabled.
    pub(in crate::server) filler: Option<Filler>,
}

/// Selects whether the image cache is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Caching {
    AsConfigured,
    Off,
}

/// Opens the stores, the cache and the registry, and creates the service over them.
///
/// # Errors
/// [`StartError`] for the first component that cannot be opened.
pub(in crate::server) fn open_parts(
    config: &Config,
    io_backend: IoBackend,
    caching: Caching,
    predecessor: Option<&mut Predecessor>,
) -> Result<Parts, StartError> {
    let blocking = BlockingThreads::start(config.data.blocking_threads);
    let blocking = blocking.map_err(StartError::Threads)?;
    let hashes = start_hashes(config)?;
    let disk = Disk::new(io_backend, blocking.handle());
    let stores = open_stores(config, disk.clone(), &hashes)?;
    let (cleaner, cleanups) = Cleaner::new();
    let continuing = match predecessor {
        Some(predecessor) => {
            predecessor.claim_registry()?;
            predecessor.uploads.iter().copied().collect()
        }
        None => HashSet::new(),
    };
    // Before the registry: counting the cached files may take seconds.
    let opened = match caching {
        Caching::AsConfigured => cache::open(config, &stores, &hashes, &disk)?,
        Caching::Off => None,
    };
    let (cache, filler) = opened.unzip();
    let registry = Arc::new(SwitchableRegistry::new(open_registry(config)?));
    let service = Arc::new(Service::new(ServiceParts {
        registry: Arc::clone(&registry) as Arc<dyn Registry>,
        stores,
        hashes,
        blocks: BlockPool::new(MAX_IDLE_BLOCKS).with_limit(config.data.blocks_memory_bytes()),
        limits: settings::limits(config),
        cleaner,
        cache,
    }));
    recover(&service, &continuing)?;
    Ok(Parts {
        service,
        registry,
        cleanups,
        blocking,
        filler,
    })
}

fn start_hashes(config: &Config) -> Result<HashEngine, StartError> {
    let threads = settings::or_cores(config.data.hash_threads);
    let hashes = HashEngine::start(threads).map_err(StartError::Threads)?;
    tracing::info!(target: log::STARTUP, threads, kernels = hashes.kernels(), "MD5 ready");
    Ok(hashes)
}

/// Cleans up after uploads that a previous process did not finish, except those in `continuing`,
/// which a predecessor still carries out.
fn recover(service: &Service, continuing: &HashSet<Uuid>) -> Result<(), StartError> {
    let runtime = runtime::current_thread()?;
    let recovered = runtime
        .block_on(
            service
                .maintenance()
                .recover(|upload| continuing.contains(upload)),
        )
        .map_err(StartError::Recovery)?;
    if recovered != Default::default() {
        tracing::info!(
            target: log::STARTUP,
            interrupted_uploads = recovered.interrupted_uploads,
            images_to_clean = recovered.images_to_clean,
            watched_uploads = recovered.watched_uploads,
            "cleaning up after the previous process"
        );
    }
    Ok(())
}
