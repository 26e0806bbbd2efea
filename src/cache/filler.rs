//! The thread that fills the cache. A fill is nobody's request: it goes on when its first
//! reader has left.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::CacheError;
use super::books::{Cache, CacheOptions, Flights};
use super::fill::fill;
use super::tools::{FillerOptions, Tools};
use crate::md5::HashEngine;
use crate::store::Stores;
use crate::transfer::disk::Disk;

/// How often the limits are looked after when nothing is filled.
const LOOK_AFTER_EVERY: Duration = Duration::from_secs(5);

/// How often it is written down how images were used.
const NOTE_USAGE_EVERY: Duration = Duration::from_secs(10);

/// Who carries out fills.
pub struct Filler {
    cache: Cache,
    flights: Flights,
    tools: Tools,
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
        let (cache, flights) = Cache::open(cache, disk.blocking().clone())?;
        let tools = Tools {
            stores,
            hashes,
            disk,
            spare: Arc::new(Semaphore::new(options.connections)),
            options,
        };
        let filler = Self {
            cache: cache.clone(),
            flights,
            tools,
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
            mut flights,
            tools,
        } = self;
        let tools = Rc::new(tools);
        let mut under_way = JoinSet::new();
        let [mut look_after, mut note_usage] = [LOOK_AFTER_EVERY, NOTE_USAGE_EVERY].map(|every| {
            let mut tick = interval(every);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            tick
        });
        loop {
            tokio::select! {
                flight = flights.recv() => match flight {
                    Some(flight) => {
                        under_way.spawn_local(fill(cache.clone(), Rc::clone(&tools), flight));
                    }
                    None => return,
                },
                Some(_) = under_way.join_next() => {}
                _ = look_after.tick() => cache.keep_limits().await,
                _ = note_usage.tick() => cache.note_usage().await,
            }
        }
    }
}
