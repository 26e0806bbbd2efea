//! The uploads that run in this process, and the order in which they yield when their owner's quota
//! is full.
//!
//! A deletion uses the set to stop an upload, and a server that shuts down waits until it is empty.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::image::ImageId;

/// The set of running uploads. Cheap to clone; clones share the set.
#[derive(Debug, Clone, Default)]
pub struct ActiveUploads {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    uploads: Mutex<HashMap<Uuid, (ImageId, Arc<Notify>)>>,
    upload_ended: Notify,
    quota_queue: Mutex<QuotaQueue>,
    ticket_dropped: Notify,
}

/// Uploads whose reservation grows, in the order in which they began.
#[derive(Debug, Default)]
struct QuotaQueue {
    last_number: u64,
    owners: BTreeMap<u64, Option<String>>,
}

/// The position of one upload in the quota queue. Dropping the ticket removes the upload from the
/// queue.
pub(super) struct QuotaTicket {
    active_uploads: ActiveUploads,
    number: u64,
}

/// An upload and the image that it fills.
#[derive(Debug, Clone, Copy)]
pub(super) struct UploadRef {
    pub(super) upload: Uuid,
    pub(super) image: ImageId,
}

/// The membership of one upload in the set. Dropping the guard removes the upload.
pub(super) struct UploadGuard {
    active_uploads: ActiveUploads,
    upload: Uuid,
    stop: Arc<Notify>,
}

impl ActiveUploads {
    /// Returns the number of uploads.
    pub fn count(&self) -> usize {
        self.with_uploads(|uploads| uploads.len())
    }

    /// Returns the identifiers of the uploads.
    pub fn ids(&self) -> Vec<Uuid> {
        self.with_uploads(|uploads| uploads.keys().copied().collect())
    }

    /// Returns true if this upload runs in this process.
    pub fn has(&self, upload: &Uuid) -> bool {
        self.with_uploads(|uploads| uploads.contains_key(upload))
    }

    /// Returns the uploads with their images.
    pub(super) fn refs(&self) -> Vec<UploadRef> {
        self.with_uploads(|uploads| {
            let upload_ref = |(upload, (image, _)): (&Uuid, &(ImageId, _))| UploadRef {
                upload: *upload,
                image: *image,
            };
            uploads.iter().map(upload_ref).collect()
        })
    }

    /// Waits until the set is empty.
    pub async fn all_ended(&self) {
        loop {
            // Created before the count is read, so an upload that ends in between is noticed.
            let ended = self.shared.upload_ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Adds an upload to the set.
    pub(super) fn begin(&self, upload: Uuid, image: ImageId) -> UploadGuard {
        let stop = Arc::<Notify>::default();
        self.with_uploads(|uploads| uploads.insert(upload, (image, Arc::clone(&stop))));
        UploadGuard {
            active_uploads: self.clone(),
            upload,
            stop,
        }
    }

    /// Stops an upload whose image was deleted. Returns true if the upload runs in this process.
    pub(super) fn stop(&self, upload: &Uuid) -> bool {
        let found = self.with_uploads(|uploads| uploads.get(upload).cloned());
        // `notify_one` stores a permit, so an upload that does not listen yet stops too.
        found.inspect(|(_, stop)| stop.notify_one()).is_some()
    }

    /// Appends an upload to the quota queue.
    pub(super) fn enqueue(&self, owner: Option<&str>) -> QuotaTicket {
        let number = self.with_queue(|queue| {
            queue.last_number += 1;
            let owner = owner.map(str::to_owned);
            queue.owners.insert(queue.last_number, owner);
            queue.last_number
        });
        QuotaTicket {
            active_uploads: self.clone(),
            number,
        }
    }

    fn with_queue<T>(&self, action: impl FnOnce(&mut QuotaQueue) -> T) -> T {
        let queue = self.shared.quota_queue.lock();
        action(&mut queue.unwrap_or_else(PoisonError::into_inner))
    }

    fn with_uploads<T>(
        &self,
        action: impl FnOnce(&mut HashMap<Uuid, (ImageId, Arc<Notify>)>) -> T,
    ) -> T {
        let uploads = self.shared.uploads.lock();
        action(&mut uploads.unwrap_or_else(PoisonError::into_inner))
    }
}

impl UploadGuard {
    /// Returns when [`ActiveUploads::stop`] has stopped the upload.
    pub(super) async fn stopped(&self) {
        self.stop.notified().await;
    }
}

impl QuotaTicket {
    /// Returns true if an upload of the same owner began later and has not ended.
    fn has_later(&self) -> bool {
        self.active_uploads.with_queue(|queue| {
            let mut from_own = queue.owners.range(self.number..);
            let own = from_own.next();
            own.is_some_and(|(_, own)| from_own.any(|(_, owner)| owner == own))
        })
    }

    /// Waits until a ticket is dropped, at most `longest`. Returns false at once if no later upload
    /// of the same owner exists: the latest upload waits for none.
    pub(super) async fn wait_for_later(&self, longest: Duration) -> bool {
        let dropped = self.active_uploads.shared.ticket_dropped.notified();
        if !self.has_later() {
            return false;
        }
        // A timeout counts as a change, because a deletion also frees bytes and drops no ticket.
        let _ = tokio::time::timeout(longest, dropped).await;
        true
    }
}

impl Drop for QuotaTicket {
    fn drop(&mut self) {
        self.active_uploads
            .with_queue(|queue| queue.owners.remove(&self.number));
        self.active_uploads.shared.ticket_dropped.notify_waiters();
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        let upload = self.upload;
        self.active_uploads
            .with_uploads(|uploads| uploads.remove(&upload));
        self.active_uploads.shared.upload_ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn upload_can_be_stopped_and_awaited() {
        let active_uploads = ActiveUploads::default();
        let id = Uuid::new_v4();
        assert!(!active_uploads.stop(&id));
        let guard = active_uploads.begin(id, ImageId::random());
        assert_eq!(active_uploads.count(), 1);
        assert!(active_uploads.stop(&id));
        guard.stopped().await;
        drop(guard);
        active_uploads.all_ended().await;
    }

    #[tokio::test]
    async fn latest_upload_of_owner_waits_for_none() {
        let active_uploads = ActiveUploads::default();
        let (a, others) = (Some("a"), Some("b"));
        let first = active_uploads.enqueue(a);
        let _other = active_uploads.enqueue(others);
        let moment = Duration::from_millis(1);
        assert!(!first.wait_for_later(moment).await);
        let last = active_uploads.enqueue(a);
        assert!(first.wait_for_later(moment).await);
        assert!(!last.wait_for_later(moment).await);
        drop(last);
        assert!(!first.wait_for_later(moment).await);
    }
}
