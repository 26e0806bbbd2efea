//! Checks that a client or server sends at a minimum rate.

use std::time::Duration;

/// Time over which a rate is measured.
pub const RATE_WINDOW: Duration = Duration::from_secs(30);

/// Measures the rate of one sender. Only the time spent waiting for the sender counts.
#[derive(Debug)]
pub struct MinRate {
    /// Bytes per second. Zero disables the check.
    min_rate_bytes: u64,
    waited: Duration,
    received_bytes: u64,
}

impl MinRate {
    /// Creates a check for a minimum of `min_rate_bytes` per second.
    pub fn new(min_rate_bytes: u64) -> Self {
        Self {
            min_rate_bytes,
            waited: Duration::ZERO,
            received_bytes: 0,
        }
    }

    /// Records bytes that arrived after a wait. Returns false if the rate over the last whole
    /// window of waiting was below the minimum.
    pub fn keeps_up(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.received_bytes += bytes as u64;
        if self.waited < RATE_WINDOW {
            return true;
        }
        // Whole seconds are precise enough: a window has at least 30.
        let wanted_bytes = self.min_rate_bytes.saturating_mul(self.waited.as_secs());
        let kept_up = self.received_bytes >= wanted_bytes;
        *self = Self::new(self.min_rate_bytes);
        kept_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_window_is_reported() {
        let second = Duration::from_secs(1);
        let mut rate = MinRate::new(10);
        assert!((0..90).all(|_| rate.keeps_up(second, 10)));
        assert!((0..29).all(|_| rate.keeps_up(second, 9)));
        assert!(!rate.keeps_up(second, 9));
        // The next window starts from zero.
        assert!(rate.keeps_up(second, 0));
    }

    #[test]
    fn fast_second_compensates_slow_ones() {
        let mut rate = MinRate::new(1024);
        assert!(rate.keeps_up(Duration::from_secs(1), 1 << 20));
        assert!(rate.keeps_up(Duration::from_secs(40), 1));
        assert!(MinRate::new(0).keeps_up(Duration::from_secs(1000), 0));
    }
}
