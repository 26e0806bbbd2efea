//! From the configuration to the parts of a running node.

use std::collections::HashSet;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::{JoinHandle, available_parallelism};

use uuid::Uuid;

use crate::api::NodeHealth;
use crate::auth::Authenticator;
use crate::cache::Filler;
use crate::config::{self, Config};
use crate::image::FormatRules;
use crate::registry::{HandedOver, Registry};
use crate::service::{Housekeeper, Limits, Orders, Scrubber, Service};
use crate::store::Stores;
use crate::transfer::disk::{Disk, IoBackend, NoUring, probe_uring};
use crate::transfer::md5::HashEngine;
use crate::transfer::{BlockPool, Blocking, BlockingThreads};
use crate::{log, metrics};

use super::cache::{self, FillThread};
use super::identity::authenticator;
use super::inherited::Predecessor;
use super::registry::open_registry;
use super::start_error::StartError;
use super::stores::open_stores;
use super::{rules, settings};

/// Unused upload buffers that are kept, in blocks: 16 MiB.
const MOST_IDLE_BLOCKS: usize = 64;

/// The parts of a running node.
pub struct App {
    /// The configuration they were made from.
    pub config: Config,
    /// The verbs.
    pub service: Arc<Service>,
    /// Who finds out who is asking.
    pub authenticator: Arc<Authenticator>,
    /// What `/healthcheck` asks.
    pub health: Arc<NodeHealth>,
    /// The I/O engine of the workers.
    pub io_backend: IoBackend,
    /// Workers to start.
    pub workers: usize,
    /// Who removes the data of images that were deleted a while ago; a registry server, which
    /// has no data, has nobody for it.
    pub scrubber: Option<Scrubber>,
    /// The registry, as it can be handed to a successor.
    pub(super) registry: Arc<HandedOver>,
    blocking: BlockingThreads,
    threads: Vec<JoinHandle<()>>,
    fills: Option<FillThread>,
}

impl App {
    /// The threads for calls that may block.
    pub fn blocking(&self) -> Blocking {
        self.blocking.handle()
    }

    /// Ends what the workers no longer need, once they are gone.
    pub fn close(self) {
        let Self {
            service,
            scrubber,
            threads,
            fills,
            ..
        } = self;
        if let Some(fills) = fills {
            fills.end();
        }
        service.housekeeper().end();
        if let Some(scrubber) = scrubber {
            scrubber.end();
        }
        for thread in threads {
            // One that panicked has nothing left to end.
            let _ = thread.join();
        }
        drop(service);
    }
}

/// Makes every part, and brings the registry to rest after a process that ended somehow.
///
/// # Errors
/// [`StartError`], which says what is to be done.
pub(super) fn build(
    config: Config,
    predecessor: Option<&mut Predecessor>,
) -> Result<App, StartError> {
    metrics::install()?;
    let io_backend = choose_backend(config.data.io_backend)?;
    let rules = rules::load(&config.rules)?;
    let authenticator = Arc::new(authenticator(&config)?);
    let Parts {
        service,
        registry,
        orders,
        blocking,
        filler,
    } = open_parts(&config, io_backend, Caching::AsConfigured, predecessor)?;
    service.set_rules(rules);
    let housekeeper = orders.carry_out(Arc::downgrade(&service))?;
    let (scrubber, wakeups) = Scrubber::new();
    let every = config.scrubber.scrub_in_api;
    let every = every.then_some(config.scrubber.wakeup_time);
    let scrubbing = wakeups.obey(Arc::downgrade(&service), every)?;
    let fills =
        filler.map(|filler| FillThread::start(filler, Arc::downgrade(&service), io_backend));
    Ok(App {
        workers: or_cores(config.listen.workers),
        authenticator,
        health: Arc::default(),
        config,
        service,
        io_backend,
        registry,
        blocking,
        scrubber: Some(scrubber),
        threads: vec![housekeeper, scrubbing],
        fills: fills.transpose()?,
    })
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
    metrics::install()?;
    let io_backend = choose_backend(config.data.io_backend)?;
    let rules = rules::load(&config.rules)?;
    let blocking = BlockingThreads::start(config.data.blocking_threads);
    let blocking = blocking.map_err(StartError::Threads)?;
    let authenticator = Arc::new(authenticator(&config)?);
    let hashes = HashEngine::start(1).map_err(StartError::Threads)?;
    if let Some(predecessor) = predecessor {
        predecessor.claim_registry()?;
    }
    let registry = Arc::new(HandedOver::new(open_registry(&config)?));
    let service = Arc::new(Service::new(
        Arc::clone(&registry) as Arc<dyn Registry>,
        Stores::none(),
        hashes,
        BlockPool::new(0),
        limits(&config),
        // Nothing is ever to be removed here.
        Housekeeper::new().0,
    ));
    service.set_rules(rules);
    Ok(App {
        workers: or_cores(config.listen.workers),
        authenticator,
        health: Arc::default(),
        config,
        service,
        io_backend,
        registry,
        blocking,
        scrubber: None,
        threads: Vec::new(),
        fills: None,
    })
}

/// The service over an open registry that was brought to rest.
pub(super) struct Parts {
    pub(super) service: Arc<Service>,
    pub(super) registry: Arc<HandedOver>,
    /// For a housekeeper.
    pub(super) orders: Orders,
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
    let (housekeeper, orders) = Housekeeper::new();
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
    let registry = Arc::new(HandedOver::new(open_registry(config)?));
    let service = Service::new(
        Arc::clone(&registry) as Arc<dyn Registry>,
        stores,
        hashes,
        BlockPool::new(MOST_IDLE_BLOCKS),
        limits(config),
        housekeeper,
    );
    let service = Arc::new(service.with_cache(cache));
    recover(&service, &under_way)?;
    Ok(Parts {
        service,
        registry,
        orders,
        blocking,
        filler,
    })
}

fn start_hashes(config: &Config) -> Result<HashEngine, StartError> {
    let threads = or_cores(config.data.hash_threads);
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
            images_with_remains = recovered.images_with_remains,
            "cleaning up after the process before"
        );
    }
    Ok(())
}

fn choose_backend(wanted: config::IoBackend) -> Result<IoBackend, StartError> {
    let chosen = match wanted {
        config::IoBackend::Threads => IoBackend::Threads,
        config::IoBackend::Uring => {
            probe_uring()?;
            IoBackend::Uring
        }
        config::IoBackend::Auto => match probe_uring() {
            Ok(()) => IoBackend::Uring,
            Err(NoUring(cause)) => {
                tracing::warn!(%cause, "this system refuses io_uring; files are written by threads");
                IoBackend::Threads
            }
        },
    };
    metrics::io_backend(chosen.as_str());
    Ok(chosen)
}

/// An option where zero means one for each core.
fn or_cores(option: usize) -> usize {
    match option {
        0 => available_parallelism().map_or(1, NonZero::get),
        number => number,
    }
}

fn limits(config: &Config) -> Limits {
    let quota = |quota: Option<u64>| {
        quota.map_or(usize::MAX, |quota| {
            usize::try_from(quota).unwrap_or(usize::MAX)
        })
    };
    let images = &config.images;
    Limits {
        node_name: settings::node_name(config),
        image_size_cap_bytes: images.image_size_cap,
        property_quota: quota(images.image_property_quota),
        member_quota: quota(images.image_member_quota),
        owner: settings::owner_limits(config),
        default_page: images.limit_param_default,
        largest_page: images.api_limit_max,
        delayed_delete: config.scrubber.delayed_delete,
        scrub_after: config.scrubber.scrub_time,
        scrubs: config.scrubber.scrub_pool_size,
        verify_downloads: config.data.verify_downloads,
        upload_window_bytes: config.data.upload_window_size,
        formats: FormatRules {
            disk_formats: images.disk_formats.clone(),
            container_formats: images.container_formats.clone(),
        },
        source_rules: settings::source_rules(config),
        copies: config.copies.copy_from_limit,
        copy_min_rate_bytes: config.copies.copy_from_min_rate,
    }
}
