//! Opens the image cache and starts the thread that fills it.

use std::sync::Weak;

use super::app::runtime_kind;
use crate::cache::{Cache, CacheOptions, Filler, FillerOptions};
use crate::config::Config;
use crate::log;
use crate::md5::HashEngine;
use crate::runtime::{self, LocalThread};
use crate::server::start_error::StartError;
use crate::service::{Maintenance, prefetch};
use crate::store::Stores;
use crate::transfer::disk::{Disk, IoBackend};

/// Opens the cache, if the configuration enables it.
///
/// # Errors
/// When the cache directory cannot be used.
pub(in crate::server) fn open(
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

/// Starts the thread that fills the cache and works on the prefetch queue.
///
/// # Errors
/// When the system refuses the thread.
pub(in crate::server) fn start_thread(
    filler: Filler,
    service: Weak<Maintenance>,
    backend: IoBackend,
    prefetches: usize,
) -> Result<LocalThread, StartError> {
    let cache = filler.cache().clone();
    let saves_usage = SaveUsage(cache.clone());
    let work = move |_| async move {
        let _saves_usage = saves_usage;
        let queue = prefetch(cache, service, prefetches);
        tokio::select! {
            () = filler.run() => {}
            () = queue => {}
        }
    };
    Ok(runtime::spawn_local("cache", runtime_kind(backend), work)?)
}

/// Writes down the last use of each file when the thread ends, however it ends.
struct SaveUsage(Cache);

impl Drop for SaveUsage {
    fn drop(&mut self) {
        self.0.save_usage_now();
    }
}
