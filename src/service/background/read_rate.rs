//! Reading slowly in the background.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest sleep before the end of the thread is noticed.
const LONGEST_NAP: Duration = Duration::from_millis(100);

/// Spreads reads over time, and ends them with the thread.
pub(super) struct ReadRate {
    rate_bytes: u64,
    /// When the bytes that were read so far may have been read.
    due: Instant,
    ended: Arc<AtomicBool>,
}

impl ReadRate {
    /// At most so many bytes a second, until `ended` says so.
    pub(super) fn new(rate_bytes: u64, ended: Arc<AtomicBool>) -> Self {
        Self {
            rate_bytes: rate_bytes.max(1),
            due: Instant::now(),
            ended,
        }
    }

    /// Waits until so many more bytes may have been read.
    ///
    /// # Errors
    /// `Interrupted` when the thread is to end.
    pub(super) fn after_bytes(&mut self, bytes: usize) -> io::Result<()> {
        let takes = Duration::from_secs_f64(bytes as f64 / self.rate_bytes as f64);
        // Time in which nothing was read is not made up for.
        self.due = self.due.max(Instant::now()) + takes;
        self.sleep(self.due.saturating_duration_since(Instant::now()));
        match self.is_ended() {
            true => Err(io::ErrorKind::Interrupted.into()),
            false => Ok(()),
        }
    }

    /// Whether the thread is to end.
    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Sleeps, but not beyond the end of the thread.
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
    fn bytes_take_their_time() {
        let mut read_rate = ReadRate::new(1000, Arc::default());
        let began = Instant::now();
        read_rate.after_bytes(100).unwrap();
        read_rate.after_bytes(100).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(190));
    }

    #[test]
    fn the_end_is_noticed() {
        let ended = Arc::new(AtomicBool::new(true));
        let mut read_rate = ReadRate::new(1, ended);
        let error = read_rate.after_bytes(1_000_000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
    }
}
