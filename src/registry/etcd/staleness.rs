//! The staleness of the local replica: how long ago etcd last showed its current state.
//!
//! While etcd cannot be reached, images are served from the replica, up to the age that
//! `etcd_read_limit` allows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::refusals::{CANNOT_READ, unavailable};
use crate::error::Result;

/// Silence after which etcd counts as unreachable. The watch requests its progress every second.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(3);

/// The time of the last contact with etcd, and the reasons of failures since.
pub(super) struct Staleness {
    began: Instant,
    /// Milliseconds from `began` to the last contact, plus one; zero before the first contact.
    contact_ms: AtomicU64,
    limit: Option<Duration>,
    /// The reason why the last request failed.
    last_failure: Mutex<String>,
    /// The reason why etcd refuses every write, until a write succeeds.
    refusal: Mutex<Option<String>>,
}

impl Staleness {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            began: Instant::now(),
            contact_ms: AtomicU64::new(0),
            limit,
            last_failure: Mutex::default(),
            refusal: Mutex::default(),
        }
    }

    /// Refuses reads until all records have been read again: those in the replica belong to another
    /// history than etcd has.
    pub(super) fn invalidate(&self, why: &str) {
        self.record_failure(why);
        self.contact_ms.store(0, Ordering::Release);
    }

    /// Sets the reason why etcd refuses every write, for health checks; `None` once it accepts one.
    pub(super) fn set_refusal(&self, why: Option<String>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Returns the reason why etcd refuses every write.
    pub(super) fn refusal(&self) -> Option<String> {
        let refusal = self.refusal.lock();
        refusal.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that etcd has shown its current state.
    pub(super) fn record_contact(&self) {
        // Release, with Acquire in `age`: a reader that sees the contact also sees the snapshot that
        // was published before it.
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.contact_ms.store(millis + 1, Ordering::Release);
    }

    /// Notes that a request has failed.
    pub(super) fn record_failure(&self, why: &str) {
        why.clone_into(
            &mut self
                .last_failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Appends the reason of the last failure to a message.
    fn with_last_failure(&self, message: String) -> String {
        let last_failure = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match last_failure.is_empty() {
            true => message,
            false => format!("{message}: {last_failure}"),
        }
    }

    /// Returns the time since the last contact; `None` before the first one.
    pub(super) fn age(&self) -> Option<Duration> {
        let contact_ms = self.contact_ms.load(Ordering::Acquire).checked_sub(1)?;
        let elapsed = self.began.elapsed();
        Some(elapsed.saturating_sub(Duration::from_millis(contact_ms)))
    }

    /// Returns true if a request to etcd would most likely fail.
    pub(super) fn is_unreachable(&self) -> bool {
        self.age().is_none_or(|age| age > UNREACHABLE_AFTER)
    }

    /// Refuses reads before the first contact, and when the replica is too old.
    ///
    /// # Errors
    /// `Unavailable` with the reason.
    pub(super) fn check(&self) -> Result<()> {
        let message = CANNOT_READ;
        let Some(age) = self.age() else {
            let cause = "the records have not been read from etcd yet";
            return Err(unavailable(
                message,
                self.with_last_failure(cause.to_owned()),
            ));
        };
        match self.limit {
            Some(limit) if age > limit => {
                let age_s = age.as_secs();
                let cause =
                    format!("etcd has been unreachable for {age_s} s, longer than etcd_read_limit");
                Err(unavailable(message, self.with_last_failure(cause)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_refused_before_the_first_contact() {
        let staleness = Staleness::new(None);
        assert!(staleness.check().is_err() && staleness.is_unreachable());
        staleness.record_contact();
        assert!(staleness.check().is_ok() && !staleness.is_unreachable());
    }

    #[test]
    fn reads_are_refused_until_a_restored_etcd_is_read_again() {
        let staleness = Staleness::new(None);
        staleness.record_contact();
        staleness.invalidate("revision 7 after revision 9");
        assert!(staleness.is_unreachable());
        let error = staleness.check().unwrap_err();
        assert!(format!("{error:?}").contains("revision 9"), "{error:?}");
        staleness.record_contact();
        assert!(staleness.check().is_ok());
    }

    #[test]
    fn reads_are_refused_when_the_replica_is_too_old() {
        let staleness = Staleness::new(Some(Duration::from_millis(20)));
        staleness.record_contact();
        std::thread::sleep(Duration::from_millis(60));
        assert!(staleness.check().is_err());
        staleness.record_contact();
        assert!(staleness.check().is_ok());
    }
}
