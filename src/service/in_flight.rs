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
pub struct InFlight {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    uploads: Mutex<HashMap<Uuid, (ImageId, Arc<Notify>)>>,
    ended: Notify,
    line: Mutex<Line>,
    left: Notify,
}

/// Uploads that make room as they grow, in the order in which they began.
#[derive(Debug, Default)]
struct Line {
    next: u64,
    owners: BTreeMap<u64, Option<String>>,
}

/// One upload's place in that order; dropping it gives the place up.
pub(super) struct Place {
    in_flight: InFlight,
    number: u64,
}

/// Which upload fills which image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) upload: Uuid,
    pub(super) image: ImageId,
}

/// One upload under way; dropping it takes it off the set.
pub(super) struct Underway {
    in_flight: InFlight,
    upload: Uuid,
    stop: Arc<Notify>,
}

impl InFlight {
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
    pub(super) fn flights(&self) -> Vec<Flight> {
        self.uploads(|uploads| {
            let flight = |(upload, (image, _)): (&Uuid, &(ImageId, _))| Flight {
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

    pub(super) fn begin(&self, upload: Uuid, image: ImageId) -> Underway {
        let stop = Arc::<Notify>::default();
        self.uploads(|uploads| uploads.insert(upload, (image, Arc::clone(&stop))));
        Underway {
            in_flight: self.clone(),
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
    pub(super) fn line_up(&self, owner: Option<&str>) -> Place {
        let number = self.line(|line| {
            line.next += 1;
            line.owners.insert(line.next, owner.map(str::to_owned));
            line.next
        });
        Place {
            in_flight: self.clone(),
            number,
        }
    }

    fn line<T>(&self, look: impl FnOnce(&mut Line) -> T) -> T {
        let line = self.shared.line.lock();
        look(&mut line.unwrap_or_else(PoisonError::into_inner))
    }

    fn uploads<T>(&self, look: impl FnOnce(&mut HashMap<Uuid, (ImageId, Arc<Notify>)>) -> T) -> T {
        let uploads = self.shared.uploads.lock();
        look(&mut uploads.unwrap_or_else(PoisonError::into_inner))
    }
}

impl Underway {
    /// Returns when the upload is told to stop.
    pub(super) async fn stopped(&self) {
        self.stop.notified().await;
    }
}

impl Place {
    /// Whether an upload of the same owner began later and has not ended.
    fn is_followed(&self) -> bool {
        self.in_flight.line(|line| {
            let mut from_here = line.owners.range(self.number..);
            let own = from_here.next();
            own.is_some_and(|(_, own)| from_here.any(|(_, owner)| owner == own))
        })
    }

    /// Waits until somebody has left the line, or for so long. Whether that was worth it: who
    /// is last of its owner waits for nobody.
    pub(super) async fn wait_behind(&self, longest: Duration) -> bool {
        let left = self.in_flight.shared.left.notified();
        if !self.is_followed() {
            return false;
        }
        // Somebody may have left just before: then the next attempt tells.
        let _ = tokio::time::timeout(longest, left).await;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.line(|line| line.owners.remove(&self.number));
        self.in_flight.shared.left.notify_waiters();
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let upload = self.upload;
        self.in_flight.uploads(|uploads| uploads.remove(&upload));
        self.in_flight.shared.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upload_is_stopped_and_waited_for() {
        let in_flight = InFlight::default();
        let id = Uuid::new_v4();
        assert!(!in_flight.stop(&id));
        let underway = in_flight.begin(id, ImageId::random());
        assert_eq!(in_flight.count(), 1);
        assert!(in_flight.stop(&id));
        underway.stopped().await;
        drop(underway);
        in_flight.all_ended().await;
    }

    #[tokio::test]
    async fn who_came_last_waits_for_nobody() {
        let in_flight = InFlight::default();
        let (a, others) = (Some("a"), Some("b"));
        let first = in_flight.line_up(a);
        let _other = in_flight.line_up(others);
        let moment = Duration::from_millis(1);
        assert!(!first.wait_behind(moment).await);
        let last = in_flight.line_up(a);
        assert!(first.wait_behind(moment).await);
        assert!(!last.wait_behind(moment).await);
        drop(last);
        assert!(!first.wait_behind(moment).await);
    }
}
