//! Fetching images before anybody asks for them.

use std::sync::Weak;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::cache::{Cache, FillOutcome};
use crate::error::{Kind, Result};
use crate::image::{ImageId, Status};
use crate::service::Service;
use crate::service::download::cache_source;

/// The wait after an origin was away.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// What became of a queued image.
enum Prefetched {
    Kept,
    /// It cannot be, for this reason.
    Never(&'static str),
}

/// Works on the queue of a cache, so many images at a time, until the service is gone. On a
/// thread's local set.
pub async fn prefetch(cache: Cache, service: Weak<Service>, at_a_time: usize) {
    let mut workers = JoinSet::new();
    for _ in 0..at_a_time {
        workers.spawn_local(work(cache.clone(), Weak::clone(&service)));
    }
    while workers.join_next().await.is_some() {}
}

async fn work(cache: Cache, service: Weak<Service>) {
    loop {
        let turn = cache.queue().next().await;
        if cache.is_retired() {
            tokio::time::sleep(RETRY_AFTER).await;
            continue;
        }
        let Some(service) = service.upgrade() else {
            return;
        };
        let id = turn.image();
        let fetched = service.prefetch(&cache, &id).await;
        drop(service);
        if cache.is_retired() {
            continue;
        }
        let is_to_be_retried = is_to_be_retried(&id, &fetched);
        if is_to_be_retried {
            // Nobody else takes it meanwhile.
            tokio::time::sleep(RETRY_AFTER).await;
        }
        let moved = match cache.queue().remove(id).await {
            Ok(true) if is_to_be_retried => cache.queue().add(id).await,
            removed => removed.map(|_| ()),
        };
        if let Err(error) = moved {
            tracing::error!(?error, "the queue of the image cache cannot be written");
        }
    }
}

/// Whether an image goes back into the queue. Says why one is not fetched.
fn is_to_be_retried(image_id: &ImageId, fetched: &Result<Prefetched>) -> bool {
    match fetched {
        Ok(Prefetched::Kept) => false,
        Ok(Prefetched::Never(why)) => {
            tracing::warn!(%image_id, why, "a queued image is not fetched");
            false
        }
        Err(error) => {
            tracing::error!(%image_id, ?error, "a queued image could not be fetched");
            matches!(error.kind(), Kind::Unavailable { .. })
        }
    }
}

impl Service {
    async fn prefetch(&self, cache: &Cache, id: &ImageId) -> Result<Prefetched> {
        let Some(record) = self.registry.get(id).await? else {
            return Ok(Prefetched::Never("there is no such image"));
        };
        let image = &record.image;
        let data = image.data.as_ref().filter(|data| data.size_bytes > 0);
        let (Status::Active, Some(data)) = (image.status, data) else {
            return Ok(Prefetched::Never("it has no data to serve"));
        };
        if self.stores.for_location(data.location())?.is_local() {
            return Ok(Prefetched::Never("its data are at this node"));
        }
        Ok(match cache.fetch(&cache_source(*id, data)).await? {
            FillOutcome::Cached => Prefetched::Kept,
            FillOutcome::NoSpace => Prefetched::Never("there is no room for it"),
            FillOutcome::Discarded => Prefetched::Never("it was deleted meanwhile"),
        })
    }
}
