//! The health of the journal: whether the registry can still write.
//!
//! The commit thread reports its writes here. The threads that wait for a write check whether it
//! has taken too long, because a thread that hangs in the kernel cannot report that itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};

/// Retry delay that clients are given while the registry cannot write.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Value of `began_ms` while no write is in progress.
const IDLE: u64 = u64::MAX;

/// The first failure, and when the write in progress began.
pub(super) struct Health {
    failure: OnceLock<String>,
    opened_at: Instant,
    /// Milliseconds from `opened_at` to the beginning of the write in progress, or [`IDLE`].
    began_ms: AtomicU64,
    limit: Duration,
}

impl Health {
    /// Returns the health of a new registry. A write that takes longer than `limit` has failed.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            failure: OnceLock::new(),
            opened_at: Instant::now(),
            began_ms: AtomicU64::new(IDLE),
            limit,
        }
    }

    /// Checks that no write has failed.
    ///
    /// # Errors
    /// `Unavailable` after a failure.
    pub(super) fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(_) => Err(self.refusal()),
        }
    }

    /// Returns the error for a write to a registry that has failed.
    pub(super) fn refusal(&self) -> Error {
        let cause = self.failure.get().cloned();
        unavailable("The registry cannot be written.")
            .because(cause.unwrap_or_else(|| "the commit thread has ended".to_owned()))
    }

    /// Makes the registry read-only until the process is restarted.
    pub(super) fn fail(&self, reason: String) {
        tracing::error!(
            reason,
            "the registry is read-only from now on; restart the node"
        );
        // Later failures follow from the first one.
        let _ = self.failure.set(reason);
    }

    /// Notes that a write to the disk begins.
    pub(super) fn write_begins(&self) {
        // Relaxed is sufficient: the value is a hint for a timeout and guards no other memory.
        self.began_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// Notes that the write has ended.
    pub(super) fn write_ends(&self) {
        self.began_ms.store(IDLE, Ordering::Relaxed);
    }

    /// Returns true if the write in progress has exceeded its limit.
    pub(super) fn is_stuck(&self) -> bool {
        let began_ms = self.began_ms.load(Ordering::Relaxed);
        began_ms != IDLE && self.now_ms().saturating_sub(began_ms) > self.limit_ms()
    }

    /// Makes the registry read-only because the disk does not answer.
    pub(super) fn fail_stuck(&self) {
        if self.check().is_ok() {
            let limit_s = self.limit.as_secs();
            self.fail(format!(
                "the registry's journal was not synced within {limit_s} s; is the disk failing?"
            ));
        }
    }

    /// Returns the interval at which waiting threads check [`Health::is_stuck`].
    pub(super) fn poll_interval(&self) -> Duration {
        (self.limit / 4).min(Duration::from_secs(1))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened_at.elapsed().as_millis()).unwrap_or(IDLE - 1)
    }

    fn limit_ms(&self) -> u64 {
        u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Returns the error for a write that does not fit on the disk.
pub(super) fn no_space() -> Error {
    unavailable("There is not enough disk space to record the change.")
}

fn unavailable(message: &str) -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_is_stuck_from_its_limit_until_it_ends() {
        let health = Health::new(Duration::from_millis(5));
        assert!(!health.is_stuck());
        health.write_begins();
        std::thread::sleep(Duration::from_millis(20));
        assert!(health.is_stuck());
        health.write_ends();
        assert!(!health.is_stuck());
        assert!(health.check().is_ok());
        health.fail_stuck();
        let refused = health.check().unwrap_err();
        assert!(refused.cause().unwrap().contains("was not synced within"));
    }
}
