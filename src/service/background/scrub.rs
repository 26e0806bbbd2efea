//! Delayed deletion: what becomes of images in status `pending_delete`.
//!
//! The registry says first that an image is deleted, so that nobody can restore it any more;
//! then its data are removed, and last its record forgets them. Wherever that is cut off, the
//! record says what is left, and the cleaner of this process or the next goes on.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::cleaner::Cleanup;
use crate::error::{Error, Kind, Result};
use crate::image::{Filter, Image, ImageId, Query, Status, Timestamp};
use crate::metrics;
use crate::registry::Record;
use crate::service::modify::modify;
use crate::service::{Service, not_found, now, now_after};

/// What a round of the scrubber did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scrubbed {
    /// Images whose data are gone.
    pub removed: usize,
    /// Images whose data could not be removed. They are deleted, and their removal is tried
    /// again.
    pub failed: usize,
    /// Images that wait for their time.
    pub waiting: usize,
}

impl Service {
    /// Removes the data of every image that has waited long enough in `pending_delete`.
    /// Must be called in a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// Those of the registry, before anything was done.
    pub async fn scrub(self: &Arc<Self>) -> Result<Scrubbed> {
        let records = self.registry.list(&pending()).await?;
        self.see_pending(&records);
        let images = records.iter().map(|record| &record.image);
        let due: Vec<ImageId> = images
            .filter(|image| self.is_due(image))
            .map(|image| image.id)
            .collect();
        let mut scrubbed = self.each(due.clone()).await;
        scrubbed.waiting = records.len() - due.len();
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

    /// Notes which images wait, where other servers may have deleted them.
    pub(super) async fn look_at_pending(&self) {
        if !self.registry.is_shared() {
            return;
        }
        match self.registry.list(&pending()).await {
            Ok(records) => self.see_pending(&records),
            Err(error) => tracing::debug!(?error, "images that wait could not be listed"),
        }
    }

    fn see_pending(&self, records: &[Arc<Record>]) {
        let pending = records.iter().map(|record| record.image.id);
        let mut seen = self
            .pending_deletes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        seen.look(pending, Instant::now());
    }

    /// Whether an image has waited long enough: by the time in its record, and on a shared
    /// registry, whose servers may have different clocks, by the clock of this process too.
    fn is_due(&self, image: &Image) -> bool {
        let scrub_after = self.limits.scrub_after;
        let seen = self
            .pending_deletes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let has_been_seen = || seen.has_waited(&image.id, scrub_after, Instant::now());
        has_waited(image, scrub_after, now()) && (!self.registry.is_shared() || has_been_seen())
    }

    /// Removes at once what no cleaner of this process will: to be called where none
    /// runs. Must be called in a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// Those of the registry, before anything was done.
    pub async fn clean_remains(self: &Arc<Self>) -> Result<Scrubbed> {
        let records = self.registry.list(&Query::everything(usize::MAX)).await?;
        let images = records.iter().map(|record| &record.image);
        let left = images.filter(|image| image.has_remains());
        Ok(self.each(left.map(|image| image.id).collect()).await)
    }

    /// So many at a time: one whose store hangs holds up no more than its own place.
    async fn each(self: &Arc<Self>, images: Vec<ImageId>) -> Scrubbed {
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
                    tracing::error!(%image_id, ?error, "an image could not be scrubbed");
                    self.cleaner.clean(image_id);
                    scrubbed.failed += 1;
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "a scrub broke down");
                    scrubbed.failed += 1;
                }
            }
        }
    }

    /// Whether there was something to remove: somebody may have restored the image.
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

    /// Makes an image deleted for good, if it still waits.
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

    /// Makes an image that waits for the scrubber active again, with the properties and the
    /// members it had. For operators: nobody is asked who it is.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` in any other status; `TooLarge` when its owner may have no more
    /// images.
    pub async fn restore(&self, id: &ImageId) -> Result<()> {
        let restored = modify(id, async || {
            let record = self.registry.get(id).await?;
            let record = record.ok_or_else(|| not_found(id))?;
            let image = restored(&record.image)?;
            self.registry.replace(image, record.version).await
        });
        restored.await?;
        tracing::info!(image_id = %id, "image restored");
        Ok(())
    }
}

fn restored(current: &Image) -> Result<Image> {
    if current.status != Status::PendingDelete {
        let message = format!(
            "cannot restore the image from {} to active (wanted from_state=pending_delete)",
            current.status.as_str()
        );
        return Err(Error::new(Kind::Conflict, message));
    }
    let mut image = current.clone();
    if let Some(trashed) = image.trashed.take() {
        image.properties = trashed.properties;
        image.members = trashed.members;
    }
    image.status = Status::Active;
    image.deleted_at = None;
    image.updated_at = now_after(current.updated_at);
    Ok(image)
}

fn has_waited(image: &Image, scrub_after: Duration, now: Timestamp) -> bool {
    let since = image.deleted_at.unwrap_or(image.updated_at);
    let waited_micros = now.as_micros().saturating_sub(since.as_micros());
    // A clock that was set back only makes them wait longer.
    u128::try_from(waited_micros).is_ok_and(|waited| waited >= scrub_after.as_micros())
}

/// Every image that waits.
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
    use crate::image::{Member, Trashed};

    fn image(status: Status) -> Image {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
        image.status = status;
        image.deleted_at = Some(Timestamp::from_micros(5_000_000));
        image
    }

    #[test]
    fn it_waits_as_long_as_it_should() {
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

    #[test]
    fn a_restoration_gives_everything_back() {
        let mut pending = image(Status::PendingDelete);
        let member = Member::new("t", true, Timestamp::from_micros(1));
        pending.trashed = Some(Box::new(Trashed {
            properties: [("os".to_owned(), Some("linux".to_owned()))].into(),
            members: vec![member.clone()],
        }));
        let restored = restored(&pending).unwrap();
        assert_eq!(restored.status, Status::Active);
        assert_eq!(restored.deleted_at, None);
        assert_eq!(restored.properties["os"].as_deref(), Some("linux"));
        assert_eq!(restored.members, [member]);
        assert_eq!(restored.trashed, None);
        assert!(restored.updated_at > pending.updated_at);
    }

    #[test]
    fn nothing_else_is_restored() {
        for status in Status::ALL {
            if status != Status::PendingDelete {
                let refused = restored(&image(status)).unwrap_err();
                assert_eq!(refused.kind(), Kind::Conflict, "{status:?}");
            }
        }
    }
}
