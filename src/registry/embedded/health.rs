//! Whether the registry can still write.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};

/// When a client of a registry that cannot write should try again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// No write to the disk is under way.
const IDLE: u64 = u64::MAX;

/// Whether the registry can still write, and since when it waits for the disk.
pub(super) struct Health {
    failure: OnceLock<String>,
    opened_at: Instant,
    /// Milliseconds from `opened_at` to the begin of the write that is under way.
    began_ms: AtomicU64,
    limit: Duration,
}

impl Health {
    /// A write to the disk that takes longer than `limit` has failed.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            failure: OnceLock::new(),
            opened_at: Instant::now(),
            began_ms: AtomicU64::new(IDLE),
            limit,
        }
    }

    /// # Errors
    /// `Unavailable` after a failure.
    pub(super) fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(_) => Err(self.refusal()),
        }
    }

    /// The error of a write that cannot be carried out.
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
        // The first reason is the one that matters.
        let _ = self.failure.set(reason);
    }

    /// A write to the disk begins.
    pub(super) fn write_begins(&self) {
        self.began_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    /// It has ended.
    pub(super) fn write_ends(&self) {
        self.began_ms.store(IDLE, Ordering::Relaxed);
    }

    /// Whether a write takes longer than it may. To be asked by those who wait for it: the
    /// thread that writes cannot tell when the system does not return.
    pub(super) fn is_stuck(&self) -> bool {
        let began_ms = self.began_ms.load(Ordering::Relaxed);
        began_ms != IDLE && self.now_ms().saturating_sub(began_ms) > self.limit_ms()
    }

    /// Says that the disk does not answer.
    pub(super) fn fail_stuck(&self) {
        if self.check().is_ok() {
            let limit_s = self.limit.as_secs();
            self.fail(format!(
                "the registry's journal was not synced within {limit_s} s; is the disk failing?"
            ));
        }
    }

    /// How often those who wait look whether the write is stuck.
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

/// The error of a write for which there is not enough disk space.
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
    fn a_write_that_takes_too_long_is_stuck_until_it_ends() {
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
