//! How old what is known is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::unavailable;
use crate::error::Result;

/// Silence after which etcd counts as away: every second it is asked for a sign of life.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(3);

/// When etcd was last heard of.
pub(super) struct Staleness {
    began: Instant,
    /// Milliseconds since then, plus one; zero for never.
    contact_ms: AtomicU64,
    limit: Option<Duration>,
    /// Why the last question got no answer.
    last_failure: Mutex<String>,
    /// Why etcd refuses every write, until a write succeeds.
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

    /// Refuses reads until the records have been read again: those that are known belong to
    /// another history than that of etcd.
    pub(super) fn invalidate(&self, why: &str) {
        self.record_failure(why);
        self.contact_ms.store(0, Ordering::Release);
    }

    /// Notes why etcd refuses every write, for health checks; `None` once it accepts one.
    pub(super) fn set_refusal(&self, why: Option<String>) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why etcd refuses every write.
    pub(super) fn refusal(&self) -> Option<String> {
        let refusal = self.refusal.lock();
        refusal.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn record_contact(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.contact_ms.store(millis + 1, Ordering::Release);
    }

    /// A question got no answer.
    pub(super) fn record_failure(&self, why: &str) {
        why.clone_into(
            &mut self
                .last_failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// What is the matter, with the last last_failure there was.
    fn with_last_failure(&self, what: String) -> String {
        let last_failure = self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match last_failure.is_empty() {
            true => what,
            false => format!("{what}: {last_failure}"),
        }
    }

    /// How long ago that was; `None` when there was never anything.
    pub(super) fn now(&self) -> Option<Duration> {
        let contact_ms = self.contact_ms.load(Ordering::Acquire).checked_sub(1)?;
        let elapsed = self.began.elapsed();
        Some(elapsed.saturating_sub(Duration::from_millis(contact_ms)))
    }

    /// Whether it is of use to ask etcd.
    pub(super) fn is_unreachable(&self) -> bool {
        self.now()
            .is_none_or(|staleness| staleness > UNREACHABLE_AFTER)
    }

    /// Refuses reading what nobody has read yet, and what is too old.
    pub(super) fn check(&self) -> Result<()> {
        let message = "The registry cannot be asked.";
        let Some(staleness) = self.now() else {
            let cause = "the records were not read from etcd yet";
            return Err(unavailable(
                message,
                self.with_last_failure(cause.to_owned()),
            ));
        };
        match self.limit {
            Some(limit) if staleness > limit => {
                let age_s = staleness.as_secs();
                let cause = format!("etcd is away for {age_s} s, longer than etcd_read_limit");
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
    fn what_was_never_heard_of_is_not_read() {
        let staleness = Staleness::new(None);
        assert!(staleness.check().is_err() && staleness.is_unreachable());
        staleness.record_contact();
        assert!(staleness.check().is_ok() && !staleness.is_unreachable());
    }

    #[test]
    fn a_restored_etcd_is_read_again_first() {
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
    fn what_is_too_old_is_not_read() {
        let staleness = Staleness::new(Some(Duration::from_millis(20)));
        staleness.record_contact();
        std::thread::sleep(Duration::from_millis(60));
        assert!(staleness.check().is_err());
        staleness.record_contact();
        assert!(staleness.check().is_ok());
    }
}
