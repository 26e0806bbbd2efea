//! From the configuration to the parts of a running node.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use crate::cache::Filler;
use crate::config::Config;
use crate::log;
use crate::md5::HashEngine;
use crate::registry::{Registry, SwitchableRegistry};
use crate::service::{Auditor, Cleaner, CleanupQueue, Heartbeat, Scrubber, Service};
use crate::store::Stores;
use crate::transfer::disk::{Disk, IoBackend};
use crate::transfer::{BlockPool, BlockingThreads};

use super::app::{App, Base};
use super::cache::{self, FillThread};
use super::inherited::Predecessor;
use super::registry::open_registry;
use super::settings;
use super::start_error::StartError;
use super::stores::open_stores;

/// Unused upload buffers that are kept for a few seconds, in blocks: 64 MiB.
const MOST_IDLE_BLOCKS: usize = 256;

/// Makes every part, and brings the registry to rest after a process that ended somehow.
///
/// # Errors
/// [`StartError`], which says what is to be done.
pub(super) fn build(
    config: Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<App, StartError> {
    let base = Base::of(&config)?;
    let io_backend = base.io_backend;
    let Parts {
        service,
        registry,
        cleanups,
        blocking,
        filler,
    } = open_parts(&config, io_backend, Caching::AsConfigured, predecessor)?;
    let cleaner = cleanups.start(Arc::downgrade(&service))?;
    let (scrubber, scrub_requests) = Scrubber::new();
    let every = config.scrubber.scrub_in_api;
    let every = every.then_some(config.scrubber.wakeup_time);
    let scrubbing = scrub_requests.start(Arc::downgrade(&service), every)?;
    let abandoned_after = config.registry.upload_abandoned_after;
    let (heartbeat, watching) = Heartbeat::start(Arc::downgrade(&service), abandoned_after)?;
    let audit = settings::audit(&config);
    let audit = audit.map(|options| Auditor::start(Arc::downgrade(&service), options));
    let (auditor, auditing) = audit.transpose()?.unzip();
    let prefetches = config.cache.image_cache_prefetches;
    let fills = filler
        .map(|filler| FillThread::start(filler, Arc::downgrade(&service), io_backend, prefetches));
    let mut app = base.app(config, service, registry, blocking);
    app.scrubber = Some(scrubber);
    app.heartbeat = Some(heartbeat);
    app.auditor = auditor;
    app.threads = vec![cleaner, scrubbing, watching];
    app.threads.extend(auditing);
    app.fills = fills.transpose()?;
    Ok(app)
}

/// Makes every part of a registry server: records and who may see them, and no image data.
/// Uploads that the records tell of are those of API servers, which may be under way.
///
/// # Errors
/// [`StartError`], which says what is to be done.
pub(super) fn build_registry(
    config: Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<App, StartError> {
    let base = Base::of(&config)?;
    let blocking = BlockingThreads::start(config.data.blocking_threads);
    let blocking = blocking.map_err(StartError::Threads)?;
    let hashes = HashEngine::start(1).map_err(StartError::Threads)?;
    if let Some(predecessor) = predecessor {
        predecessor.claim_registry()?;
    }
    let registry = Arc::new(SwitchableRegistry::new(open_registry(&config)?));
    let service = Service::new(
        Arc::clone(&registry) as Arc<dyn Registry>,
        Stores::none(),
        hashes,
        BlockPool::new(0),
        settings::limits(&config),
        // A registry server has no stores, so it removes no data.
        Cleaner::new().0,
    );
    let service = Arc::new(service.without_uploads());
    Ok(base.app(config, service, registry, blocking))
}

/// The service over an open registry that was brought to rest.
pub(super) struct Parts {
    pub(super) service: Arc<Service>,
    pub(super) registry: Arc<SwitchableRegistry>,
    /// For a cleaner.
    pub(super) cleanups: CleanupQueue,
    /// What files are read, written and removed by.
    pub(super) blocking: BlockingThreads,
    /// For a thread; without it nothing is cached.
    pub(super) filler: Option<Filler>,
}

/// Whether a program uses the image cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caching {
    AsConfigured,
    Off,
}

/// The registry comes last, so that a predecessor is without it for as short a time as can be.
pub(super) fn open_parts(
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
    let under_way = match predecessor {
        Some(predecessor) => {
            predecessor.claim_registry()?;
            predecessor.uploads.iter().copied().collect()
        }
        None => HashSet::new(),
    };
    let opened = match caching {
        Caching::AsConfigured => cache::open(config, &stores, &hashes, &disk)?,
        Caching::Off => None,
    };
    let (cache, filler) = opened.unzip();
    let registry = Arc::new(SwitchableRegistry::new(open_registry(config)?));
    let service = Service::new(
        Arc::clone(&registry) as Arc<dyn Registry>,
        stores,
        hashes,
        BlockPool::new(MOST_IDLE_BLOCKS).with_room(config.data.blocks_memory_bytes()),
        settings::limits(config),
        cleaner,
    );
    let service = Arc::new(service.with_cache(cache));
    recover(&service, &under_way)?;
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

fn recover(service: &Service, under_way: &HashSet<Uuid>) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Threads)?;
    let recovered = runtime
        .block_on(service.recover(|upload| under_way.contains(upload)))
        .map_err(StartError::Recovery)?;
    if recovered != Default::default() {
        tracing::info!(
            target: log::STARTUP,
            interrupted_uploads = recovered.interrupted_uploads,
            images_to_clean = recovered.images_to_clean,
            watched_uploads = recovered.watched_uploads,
            "cleaning up after the process before"
        );
    }
    Ok(())
}
