//! A limit on the bytes per second that the auditor reads.
//!
//! The limit sleeps on the calling thread, in short steps, and notices the end of the thread in
//! between.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest sleep between two checks for the end of the thread.
const LONGEST_NAP: Duration = Duration::from_millis(100);

/// Spreads reads over time.
pub(super) struct ReadRate {
    rate_bytes: u64,
    /// The earliest time at which the bytes read so far conform to the rate.
    due: Instant,
    ended: Arc<AtomicBool>,
}

impl ReadRate {
    /// Creates a limit of `rate_bytes` per second. Every wait ends when `ended` is set.
    pub(super) fn new(rate_bytes: u64, ended: Arc<AtomicBool>) -> Self {
        Self {
            rate_bytes: rate_bytes.max(1),
            due: Instant::now(),
            ended,
        }
    }

    /// Waits after a read of `bytes`, so that the average stays below the rate.
    ///
    /// # Errors
    /// `Interrupted` if the thread must end.
    pub(super) fn after_bytes(&mut self, bytes: usize) -> io::Result<()> {
        let takes = Duration::from_secs_f64(bytes as f64 / self.rate_bytes as f64);
        // Time without reads gives no credit: the rate also bounds bursts.
        self.due = self.due.max(Instant::now()) + takes;
        self.sleep(self.due.saturating_duration_since(Instant::now()));
        match self.is_ended() {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    /// Returns true if the thread must end.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Sleeps for `time`, or until the thread must end.
    pub(super) fn sleep(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_ended()
            && let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            std::thread::sleep(left.min(LONGEST_NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_spread_over_time() {
        let mut read_rate = ReadRate::new(1000, Arc::default());
        let began = Instant::now();
        read_rate.after_bytes(100).unwrap();
        read_rate.after_bytes(100).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(190));
    }

    #[test]
    fn wait_ends_with_thread() {
        let ended = Arc::new(AtomicBool::new(true));
        let mut read_rate = ReadRate::new(1, ended);
        let error = read_rate.after_bytes(1_000_000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
