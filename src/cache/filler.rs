//! The thread that fills the cache. A fill is nobody's request: it goes on when its first
//! reader has left.

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

/// How often the limits are looked after when nothing is filled.
const ENFORCE_LIMITS_INTERVAL: Duration = Duration::from_secs(5);

/// How often it is written down how images were used.
const SAVE_USAGE_INTERVAL: Duration = Duration::from_secs(10);

/// Who carries out fills.
pub struct Filler {
    cache: Cache,
    fills: FillReceiver,
    context: FillContext,
}

impl Filler {
    /// A cache, and who fills it from these stores. Blocks while the folder is read.
    ///
    /// # Errors
    /// [`CacheError`] when the folder cannot be used.
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
            spare: Arc::new(Semaphore::new(options.connections)),
            options,
        };
        let filler = Self {
            cache: cache.clone(),
            fills,
            context,
        };
        Ok((cache, filler))
    }

    /// The cache that it fills.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Carries fills out, until the future is dropped. On a thread's local set, in the
    /// runtime that the disk's engine needs.
    pub async fn work(self) {
        let Self {
            cache,
            mut fills,
            context,
        } = self;
        let context = Rc::new(context);
        let mut under_way = JoinSet::new();
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
                        under_way.spawn_local(run_fill(cache.clone(), Rc::clone(&context), fill));
                    }
                    None => return,
                },
                Some(_) = under_way.join_next() => {}
                _ = enforce_limits.tick() => cache.enforce_limits().await,
                _ = save_usage.tick() => cache.save_usage().await,
            }
        }
    }
}
