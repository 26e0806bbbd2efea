//! Uploads under way in this process.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::image::ImageId;

/// The uploads under way: so that a deletion can stop one, and a server that ends can wait
/// for them. Cheap to clone; clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct ActiveUploads {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    uploads: Mutex<HashMap<Uuid, (ImageId, Arc<Notify>)>>,
    ended: Notify,
    line: Mutex<QuotaQueue>,
    left: Notify,
}

/// Uploads that make room as they grow, in the order in which they began.
#[derive(Debug, Default)]
struct QuotaQueue {
    next: u64,
    owners: BTreeMap<u64, Option<String>>,
}

/// One upload's place in that order; dropping it gives the place up.
pub(super) struct QuotaTicket {
    active_uploads: ActiveUploads,
    number: u64,
}

/// Which upload fills which image.
#[derive(Debug, Clone, Copy)]
pub(super) struct UploadRef {
    pub(super) upload: Uuid,
    pub(super) image: ImageId,
}

/// One upload under way; dropping it takes it off the set.
pub(super) struct UploadGuard {
    active_uploads: ActiveUploads,
    upload: Uuid,
    stop: Arc<Notify>,
}

impl ActiveUploads {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.uploads(|uploads| uploads.len())
    }

    /// Which they are.
    pub fn ids(&self) -> Vec<Uuid> {
        self.uploads(|uploads| uploads.keys().copied().collect())
    }

    /// Whether this one is among them.
    pub fn has(&self, upload: &Uuid) -> bool {
        self.uploads(|uploads| uploads.contains_key(upload))
    }

    /// Which they are, and of which images.
    pub(super) fn refs(&self) -> Vec<UploadRef> {
        self.uploads(|uploads| {
            let flight = |(upload, (image, _)): (&Uuid, &(ImageId, _))| UploadRef {
                upload: *upload,
                image: *image,
            };
            uploads.iter().map(flight).collect()
        })
    }

    /// Waits until there are none.
    pub async fn all_ended(&self) {
        loop {
            let ended = self.shared.ended.notified();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn begin(&self, upload: Uuid, image: ImageId) -> UploadGuard {
        let stop = Arc::<Notify>::default();
        self.uploads(|uploads| uploads.insert(upload, (image, Arc::clone(&stop))));
        UploadGuard {
            active_uploads: self.clone(),
            upload,
            stop,
        }
    }

    /// Tells an upload that its image is gone. Whether it is under way in this process.
    pub(super) fn stop(&self, upload: &Uuid) -> bool {
        let flight = self.uploads(|uploads| uploads.get(upload).cloned());
        flight.inspect(|(_, stop)| stop.notify_one()).is_some()
    }

    /// A place behind all others.
    pub(super) fn enqueue(&self, owner: Option<&str>) -> QuotaTicket {
        let number = self.line(|line| {
            line.next += 1;
            line.owners.insert(line.next, owner.map(str::to_owned));
            line.next
        });
        QuotaTicket {
            active_uploads: self.clone(),
            number,
        }
    }

    fn line<T>(&self, look: impl FnOnce(&mut QuotaQueue) -> T) -> T {
        let line = self.shared.line.lock();
        look(&mut line.unwrap_or_else(PoisonError::into_inner))
    }

    fn uploads<T>(&self, look: impl FnOnce(&mut HashMap<Uuid, (ImageId, Arc<Notify>)>) -> T) -> T {
        let uploads = self.shared.uploads.lock();
        look(&mut uploads.unwrap_or_else(PoisonError::into_inner))
    }
}

impl UploadGuard {
    /// Returns when the upload is told to stop.
    pub(super) async fn stopped(&self) {
        self.stop.notified().await;
    }
}

impl QuotaTicket {
    /// Whether an upload of the same owner began later and has not ended.
    fn is_followed(&self) -> bool {
        self.active_uploads.line(|line| {
            let mut from_here = line.owners.range(self.number..);
            let own = from_here.next();
            own.is_some_and(|(_, own)| from_here.any(|(_, owner)| owner == own))
        })
    }

    /// Waits until somebody has left the line, or for so long. Whether that was worth it: who
    /// is last of its owner waits for nobody.
    pub(super) async fn wait_behind(&self, longest: Duration) -> bool {
        let left = self.active_uploads.shared.left.notified();
        if !self.is_followed() {
            return false;
        }
        // Somebody may have left just before: then the next attempt tells.
        let _ = tokio::time::timeout(longest, left).await;
        true
    }
}

impl Drop for QuotaTicket {
    fn drop(&mut self) {
        self.active_uploads
            .line(|line| line.owners.remove(&self.number));
        self.active_uploads.shared.left.notify_waiters();
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        let upload = self.upload;
        self.active_uploads
            .uploads(|uploads| uploads.remove(&upload));
        self.active_uploads.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_is_stopped_and_waited_for() {
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
    async fn who_came_last_waits_for_nobody() {
        let active_uploads = ActiveUploads::default();
        let (a, others) = (Some("a"), Some("b"));
        let first = active_uploads.enqueue(a);
        let _other = active_uploads.enqueue(others);
        let moment = Duration::from_millis(1);
        assert!(!first.wait_behind(moment).await);
        let last = active_uploads.enqueue(a);
        assert!(first.wait_behind(moment).await);
        assert!(!last.wait_behind(moment).await);
        drop(last);
        assert!(!first.wait_behind(moment).await);
    }
}
