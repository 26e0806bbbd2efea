//! The prefetcher: fills the image cache from its queue, ahead of requests.

use std::sync::Weak;
use std::time::Duration;

use tokio::task::JoinSet;

use super::maintenance::Maintenance;
use crate::cache::{Cache, FillOutcome};
use crate::error::{Kind, Result};
use crate::image::{ImageId, Status};
use crate::service::download::cache_source;

/// The wait after a store was unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The result for a queued image.
enum Prefetched {
    Cached,
    /// The image cannot be cached, for this reason.
    Impossible(&'static str),
}

/// Fetches the images in the queue of a cache, `at_a_time` of them at the same time, until the
/// service is dropped. Must run in a [`tokio::task::LocalSet`].
pub async fn prefetch(cache: Cache, service: Weak<Maintenance>, at_a_time: usize) {
    let mut workers = JoinSet::new();
    for _ in 0..at_a_time {
        workers.spawn_local(work(cache.clone(), Weak::clone(&service)));
    }
    while workers.join_next().await.is_some() {}
}

async fn work(cache: Cache, service: Weak<Maintenance>) {
    loop {
        let queued = cache.queue().next().await;
        // During a reload the successor owns the folder of the cache. If the reload fails, this
        // process takes it back, so the worker waits instead of ending.
        if cache.is_retired() {
            tokio::time::sleep(RETRY_AFTER).await;
            continue;
        }
        let Some(service) = service.upgrade() else {
            return;
        };
        let id = queued.image();
        let fetched = service.prefetch(&cache, &id).await;
        // The reference must not outlive the fetch: it would keep the service open while this task
        // waits below.
        drop(service);
        // Retired during the fetch: the successor has its own copy of the queue.
        if cache.is_retired() {
            continue;
        }
        let is_to_be_retried = is_to_be_retried(&id, &fetched);
        if is_to_be_retried {
            // The image stays reserved for this worker during the wait.
            tokio::time::sleep(RETRY_AFTER).await;
        }
        let moved = match cache.queue().remove(id).await {
            Ok(true) if is_to_be_retried => cache.queue().add(id).await,
            removed => removed.map(|_| ()),
        };
        if let Err(error) = moved {
            tracing::error!(?error, "cannot write the queue of the image cache");
        }
    }
}

/// Returns true if the image goes back into the queue. Logs why an image was not fetched.
fn is_to_be_retried(image_id: &ImageId, fetched: &Result<Prefetched>) -> bool {
    match fetched {
        Ok(Prefetched::Cached) => false,
        Ok(Prefetched::Impossible(why)) => {
            tracing::warn!(%image_id, why, "queued image not fetched");
            false
        }
        Err(error) => {
            tracing::error!(%image_id, ?error, "cannot fetch a queued image");
            matches!(error.kind(), Kind::Unavailable { .. })
        }
    }
}

impl Maintenance {
    async fn prefetch(&self, cache: &Cache, id: &ImageId) -> Result<Prefetched> {
        let Some(record) = self.registry.get(id).await? else {
            return Ok(Prefetched::Impossible("the image does not exist"));
        };
        let image = &record.image;
        let data = image.data.as_ref().filter(|data| data.size_bytes > 0);
        let (Status::Active, Some(data)) = (image.status, data) else {
            return Ok(Prefetched::Impossible("the image has no data to serve"));
        };
        if self.stores.for_location(data.location())?.is_local() {
            return Ok(Prefetched::Impossible("its data are on this node"));
        }
        Ok(match cache.fetch(&cache_source(*id, data)).await? {
            FillOutcome::Cached => Prefetched::Cached,
            FillOutcome::NoSpace => Prefetched::Impossible("it does not fit into the cache"),
            FillOutcome::Discarded => Prefetched::Impossible("it was deleted during the fetch"),
        })
    }
}
