//! How old what is known is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::unavailable;
use crate::error::Result;

/// Silence after which etcd counts as away: every second it is asked for a sign of life.
const AWAY_AFTER: Duration = Duration::from_secs(3);

/// When etcd was last heard of.
pub(super) struct Age {
    began: Instant,
    /// Milliseconds since then, plus one; zero for never.
    heard_ms: AtomicU64,
    limit: Option<Duration>,
    /// Why the last question got no answer.
    trouble: Mutex<String>,
    /// Why etcd refuses every write, until a write succeeds.
    refusal: Mutex<Option<String>>,
}

impl Age {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self {
            began: Instant::now(),
            heard_ms: AtomicU64::new(0),
            limit,
            trouble: Mutex::default(),
            refusal: Mutex::default(),
        }
    }

    /// Refuses reads until the records have been read again: those that are known belong to
    /// another history than that of etcd.
    pub(super) fn distrust(&self, why: &str) {
        self.not_heard(why);
        self.heard_ms.store(0, Ordering::Release);
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

    pub(super) fn heard(&self) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.heard_ms.store(millis + 1, Ordering::Release);
    }

    /// A question got no answer.
    pub(super) fn not_heard(&self, why: &str) {
        why.clone_into(&mut self.trouble.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What is the matter, with the last trouble there was.
    fn told(&self, what: String) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match trouble.is_empty() {
            true => what,
            false => format!("{what}: {trouble}"),
        }
    }

    /// How long ago that was; `None` when there was never anything.
    pub(super) fn now(&self) -> Option<Duration> {
        let heard_ms = self.heard_ms.load(Ordering::Acquire).checked_sub(1)?;
        let elapsed = self.began.elapsed();
        Some(elapsed.saturating_sub(Duration::from_millis(heard_ms)))
    }

    /// Whether it is of use to ask etcd.
    pub(super) fn is_away(&self) -> bool {
        self.now().is_none_or(|age| age > AWAY_AFTER)
    }

    /// Refuses reading what nobody has read yet, and what is too old.
    pub(super) fn check(&self) -> Result<()> {
        let message = "The registry cannot be asked.";
        let Some(age) = self.now() else {
            let cause = "the records were not read from etcd yet";
            return Err(unavailable(message, self.told(cause.to_owned())));
        };
        match self.limit {
            Some(limit) if age > limit => {
                let age_s = age.as_secs();
                let cause = format!("etcd is away for {age_s} s, longer than etcd_read_limit");
                Err(unavailable(message, self.told(cause)))
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
        let age = Age::new(None);
        assert!(age.check().is_err() && age.is_away());
        age.heard();
        assert!(age.check().is_ok() && !age.is_away());
    }

    #[test]
    fn a_restored_etcd_is_read_again_first() {
        let age = Age::new(None);
        age.heard();
        age.distrust("revision 7 after revision 9");
        assert!(age.is_away());
        let error = age.check().unwrap_err();
        assert!(format!("{error:?}").contains("revision 9"), "{error:?}");
        age.heard();
        assert!(age.check().is_ok());
    }

    #[test]
    fn what_is_too_old_is_not_read() {
        let age = Age::new(Some(Duration::from_millis(20)));
        age.heard();
        std::thread::sleep(Duration::from_millis(60));
        assert!(age.check().is_err());
        age.heard();
        assert!(age.check().is_ok());
    }
}
