//! Uploads under way in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// The uploads under way: so that a deletion can stop one, and a server that ends can wait
/// for them. Cheap to clone; clones are the same set.
#[derive(Debug, Clone, Default)]
pub struct InFlight {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    uploads: Mutex<HashMap<Uuid, Arc<Notify>>>,
    ended: Notify,
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

    pub(super) fn begin(&self, upload: Uuid) -> Underway {
        let stop = Arc::<Notify>::default();
        self.uploads(|uploads| uploads.insert(upload, Arc::clone(&stop)));
        Underway {
            in_flight: self.clone(),
            upload,
            stop,
        }
    }

    /// Tells an upload that its image is gone. Whether it is under way in this process.
    pub(super) fn stop(&self, upload: &Uuid) -> bool {
        let stop = self.uploads(|uploads| uploads.get(upload).cloned());
        stop.inspect(|stop| stop.notify_one()).is_some()
    }

    fn uploads<T>(&self, look: impl FnOnce(&mut HashMap<Uuid, Arc<Notify>>) -> T) -> T {
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
        let underway = in_flight.begin(id);
        assert_eq!(in_flight.count(), 1);
        assert!(in_flight.stop(&id));
        underway.stopped().await;
        drop(underway);
        in_flight.all_ended().await;
    }
}
