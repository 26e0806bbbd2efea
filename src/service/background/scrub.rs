//! One pass of the scrubber over images in `pending_delete` (delayed deletion).
//!
//! The registry first records the image as `deleted`, after which no restore is possible. Then the
//! data are removed, and last their mention in the record. The record always tells what remains, so
//! the cleaner of this or the next process continues after an interruption.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::cleaner::Cleanup;
use super::maintenance::Maintenance;
use crate::error::Result;
use crate::image::{Filter, Image, ImageId, Query, Status, Timestamp};
use crate::metrics;
use crate::registry::Record;
use crate::service::clock::{now, now_after};
use crate::service::modify::modify;

/// The result of a pass of the scrubber.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Images whose data were removed.
    pub removed: usize,
    /// Images whose data could not be removed. They are `deleted`, and the cleaner retries.
    pub failed: usize,
    /// Images that have not waited long enough.
    pub waiting: usize,
}

impl Maintenance {
    /// Removes the data of every image that has been in `pending_delete` long enough. Must run in a
    /// [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// Those of the registry, before any image is changed.
    pub async fn scrub(self: &Arc<Self>) -> Result<Scrubbed> {
        let records = self.registry.list(&pending()).await?;
        self.update_pending(&records);
        let images = records.iter().map(|record| &record.image);
        let due: Vec<ImageId> = images
            .filter(|image| self.is_due(image))
            .map(|image| image.id)
            .collect();
        let waiting = records.len() - due.len();
        let mut scrubbed = self.scrub_all(due).await;
        scrubbed.waiting = waiting;
        metrics::scrubbed(scrubbed.removed, scrubbed.failed);
        if scrubbed.removed + scrubbed.failed > 0 {
            tracing::info!(
                removed = scrubbed.removed,
                failed = scrubbed.failed,
                waiting = scrubbed.waiting,
                "scrubbed"
            );
        }
        Ok(scrubbed)
    }

    /// Updates the times since which images are pending. Does nothing if no other server can delete
    /// images.
    pub(super) async fn poll_pending(&self) {
        if !self.registry.is_shared() {
            return;
        }
        match self.registry.list(&pending()).await {
            Ok(records) => self.update_pending(&records),
            Err(error) => tracing::debug!(?error, "cannot list images in pending_delete"),
        }
    }

    fn update_pending(&self, records: &[Arc<Record>]) {
        let pending = records.iter().map(|record| record.image.id);
        let mut seen = self
            .pending_deletes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        seen.update(pending, Instant::now());
    }

    /// Returns true if an image has waited long enough by the time in its record. In a shared
    /// registry, whose servers may have different clocks, also requires this of the own clock.
    fn is_due(&self, image: &Image) -> bool {
        let scrub_after = self.limits.scrub_after;
        let seen = self
            .pending_deletes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let has_been_seen = || seen.has_waited(&image.id, scrub_after, Instant::now());
        has_waited(image, scrub_after, now()) && (!self.registry.is_shared() || has_been_seen())
    }

    /// Removes all remaining data now. For programs that run no cleaner. Must run in a
    /// [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// Those of the registry, before any image is changed.
    pub async fn clean_remains(self: &Arc<Self>) -> Result<Scrubbed> {
        let records = self.registry.list(&Query::everything(usize::MAX)).await?;
        let images = records.iter().map(|record| &record.image);
        let left = images.filter(|image| image.has_remains());
        Ok(self.scrub_all(left.map(|image| image.id).collect()).await)
    }

    /// Scrubs images, `scrubs` of them at the same time: a store that hangs blocks one of these,
    /// not the whole pass.
    async fn scrub_all(self: &Arc<Self>, images: Vec<ImageId>) -> Scrubbed {
        let mut scrubbed = Scrubbed::default();
        let mut running = JoinSet::new();
        let mut images = images.into_iter();
        loop {
            while running.len() < self.limits.scrubs
                && let Some(id) = images.next()
            {
                let service = Arc::clone(self);
                running.spawn_local(async move { (id, service.scrub_one(&id).await) });
            }
            match running.join_next().await {
                None => return scrubbed,
                Some(Ok((_, Ok(removed)))) => scrubbed.removed += usize::from(removed),
                Some(Ok((image_id, Err(error)))) => {
                    tracing::error!(%image_id, ?error, "cannot scrub an image; cleaner will retry");
                    self.cleaner.clean(image_id);
                    scrubbed.failed += 1;
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "scrub of an image panicked");
                    scrubbed.failed += 1;
                }
            }
        }
    }

    /// Returns true if there were data to remove. There are none if an operator has restored the
    /// image.
    async fn scrub_one(&self, id: &ImageId) -> Result<bool> {
        self.finalize_delete(id).await?;
        let record = self.registry.get(id).await?;
        if !record.is_some_and(|record| record.image.has_remains()) {
            return Ok(false);
        }
        self.clean(id).await?;
        tracing::info!(image_id = %id, "image scrubbed");
        Ok(true)
    }

    /// Makes an image in `pending_delete` finally `deleted`, without the saved properties.
    pub(in crate::service) async fn finalize_delete(&self, id: &ImageId) -> Result<()> {
        modify(id, async || {
            let record = self.registry.get(id).await?;
            let record = record.filter(|record| record.image.status == Status::PendingDelete);
            let Some(record) = record else {
                return Ok(());
            };
            let mut image = record.image.clone();
            image.status = Status::Deleted;
            image.updated_at = now_after(image.updated_at);
            image.trashed = None;
            self.registry.replace(image, record.version).await?;
            Ok(())
        })
        .await
    }
}

fn has_waited(image: &Image, scrub_after: Duration, now: Timestamp) -> bool {
    let since = image.deleted_at.unwrap_or(image.updated_at);
    let waited_micros = now.as_micros().saturating_sub(since.as_micros());
    // A negative time (the clock was set back) only makes the image wait longer.
    u128::try_from(waited_micros).is_ok_and(|waited| waited >= scrub_after.as_micros())
}

/// Returns the query for all images in `pending_delete`.
fn pending() -> Query {
    Query {
        filters: vec![Filter::Status(vec![
            Status::PendingDelete.as_str().to_owned(),
        ])],
        ..Query::everything(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(status: Status) -> Image {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
        image.status = status;
        image.deleted_at = Some(Timestamp::from_micros(5_000_000));
        image
    }

    #[test]
    fn image_waits_for_scrub_time() {
        let image = image(Status::PendingDelete);
        let waited = |after_s, now_micros| {
            let now = Timestamp::from_micros(now_micros);
            has_waited(&image, Duration::from_secs(after_s), now)
        };
        assert!(!waited(10, 14_999_999));
        assert!(waited(10, 15_000_000));
        assert!(waited(0, 5_000_000));
        assert!(!waited(0, 4_000_000), "the clock was set back");
        assert!(!waited(u64::MAX, i64::MAX));
    }
}
