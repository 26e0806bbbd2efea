//! The image cache, and the thread that fills it.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use tokio::sync::Notify;
use tokio::task::LocalSet;

use super::start_error::StartError;
use crate::cache::{Cache, CacheOptions, Filler, FillerOptions};
use crate::config::Config;
use crate::log;
use crate::md5::HashEngine;
use crate::service::{Service, prefetch};
use crate::store::Stores;
use crate::transfer::disk::{Disk, IoBackend};

/// The thread of the fills.
pub(super) struct FillThread {
    end: Arc<Notify>,
    thread: JoinHandle<()>,
}

/// Opens the cache, if the node has one.
pub(super) fn open(
    config: &Config,
    stores: &Stores,
    hashes: &HashEngine,
    disk: &Disk,
) -> Result<Option<(Cache, Filler)>, StartError> {
    if !config.paste.caches() {
        return Ok(None);
    }
    let options = &config.cache;
    let cache = CacheOptions {
        folder: options.image_cache_dir.clone(),
        max_bytes: options.image_cache_max_size,
        min_free_bytes: options.image_cache_min_free,
    };
    let filler = FillerOptions {
        ranges: options.image_cache_fill_ranges,
        connections: options.image_cache_fill_connections,
        range_bytes: options.image_cache_fill_range_size,
    };
    let (stores, hashes, disk) = (stores.clone(), hashes.clone(), disk.clone());
    let (cache, filler) = Filler::new(cache, filler, stores, hashes, disk)?;
    let (space, images) = cache.space_used();
    tracing::info!(
        target: log::STARTUP,
        folder = %options.image_cache_dir.display(),
        images,
        bytes = space.cached_bytes,
        limit_bytes = options.image_cache_max_size,
        "image cache open"
    );
    Ok(Some((cache, filler)))
}

impl FillThread {
    /// Starts it with what works on the queue, in the runtime that the engine needs.
    pub(super) fn start(
        filler: Filler,
        service: Weak<Service>,
        backend: IoBackend,
        prefetches: usize,
    ) -> Result<Self, StartError> {
        let end = Arc::new(Notify::new());
        let told = Arc::clone(&end);
        let run = move || {
            let cache = filler.cache().clone();
            let queue = prefetch(cache.clone(), service, prefetches);
            let work = async move {
                tokio::select! {
                    () = filler.run() => {}
                    () = queue => {}
                    () = told.notified() => {}
                }
            };
            let ran = match backend {
                IoBackend::Uring => tokio_uring::Runtime::new(&tokio_uring::builder())
                    .map(|runtime| runtime.block_on(work)),
                IoBackend::Threads => tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map(|runtime| LocalSet::new().block_on(&runtime, work)),
            };
            if let Err(error) = ran {
                tracing::error!(%error, "the image cache cannot be filled");
            }
            cache.save_usage_now();
        };
        let thread = std::thread::Builder::new().name("cache".to_owned());
        let thread = thread.spawn(run).map_err(StartError::Threads)?;
        Ok(Self { end, thread })
    }

    /// Ends it; what is being filled is given up.
    pub(super) fn end(self) {
        self.end.notify_one();
        // One that panicked has nothing left to end.
        let _ = self.thread.join();
    }
}
