//! The thread that carries out fills.
//!
//! A fill does not belong to a request: it continues when the client that caused it has
//! disconnected, because others may read the same file.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::CacheError;
use super::fill_context::{FillContext, FillerOptions};
use super::fill_task::run_fill;
use super::image_cache::{Cache, CacheOptions, FillReceiver};
use crate::md5::HashEngine;
use crate::store::Stores;
use crate::transfer::disk::Disk;

/// Interval at which the cache's limits are enforced.
const ENFORCE_LIMITS_INTERVAL: Duration = Duration::from_secs(5);

/// Interval at which the usage of images is saved.
const SAVE_USAGE_INTERVAL: Duration = Duration::from_secs(10);

/// Carries out the fills of one cache.
pub struct Filler {
    cache: Cache,
    fills: FillReceiver,
    context: FillContext,
}

impl Filler {
    /// Opens a cache, and creates its filler, which downloads from these stores. Blocks while the
    /// folder is read.
    ///
    /// # Errors
    /// [`CacheError`] if the folder cannot be used.
    pub fn new(
        cache: CacheOptions,
        options: FillerOptions,
        stores: Stores,
        hashes: HashEngine,
        disk: Disk,
    ) -> Result<(Cache, Self), CacheError> {
        let (cache, fills) = Cache::open(cache, disk.blocking().clone())?;
        let context = FillContext {
            stores,
            hashes,
            disk,
            extra_connections: Arc::new(Semaphore::new(options.connections)),
            options,
        };
        let filler = Self {
            cache: cache.clone(),
            fills,
            context,
        };
        Ok((cache, filler))
    }

    /// Returns the cache that this fills.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Carries out fills until the future is dropped. Must run on a `LocalSet`, in the runtime that
    /// the disk's I/O engine needs.
    pub async fn run(self) {
        let Self {
            cache,
            mut fills,
            context,
        } = self;
        let context = Rc::new(context);
        let mut running = JoinSet::new();
        let [mut enforce_limits, mut save_usage] = [ENFORCE_LIMITS_INTERVAL, SAVE_USAGE_INTERVAL]
            .map(|every| {
                let mut tick = interval(every);
                tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
                tick
            });
        loop {
            tokio::select! {
                fill = fills.recv() => match fill {
                    Some(fill) => {
                        running.spawn_local(run_fill(cache.clone(), Rc::clone(&context), fill));
                    }
                    None => return,
                },
                // Reaps ended fills; a fill reports its own result.
                Some(_) = running.join_next() => {}
                _ = enforce_limits.tick() => cache.enforce_limits().await,
                _ = save_usage.tick() => cache.save_usage().await,
            }
        }
    }
}
