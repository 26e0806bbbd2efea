//! Whether a sender keeps up a least rate.

use std::time::Duration;

/// Time over which a client's rate is judged.
pub const RATE_WINDOW: Duration = Duration::from_secs(30);

/// The rate of one sender, in the time spent waiting for it: time in which we are the slow
/// ones does not count.
#[derive(Debug)]
pub struct MinRate {
    /// Zero for any.
    min_rate_bytes: u64,
    waited: Duration,
    received_bytes: u64,
}

impl MinRate {
    /// A pace of at least so many bytes a second.
    pub fn new(min_rate_bytes: u64) -> Self {
        Self {
            min_rate_bytes,
            waited: Duration::ZERO,
            received_bytes: 0,
        }
    }

    /// Bytes came after so long a wait. Judged each time a whole window has been waited
    /// for; `false` when that was too slow.
    pub fn keeps_up(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.received_bytes += bytes as u64;
        if self.waited < RATE_WINDOW {
            return true;
        }
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
    fn a_slow_window_tells() {
        let second = Duration::from_secs(1);
        let mut pace = MinRate::new(10);
        assert!((0..90).all(|_| pace.keeps_up(second, 10)));
        assert!((0..29).all(|_| pace.keeps_up(second, 9)));
        assert!(!pace.keeps_up(second, 9));
        // The next window begins anew.
        assert!(pace.keeps_up(second, 0));
    }

    #[test]
    fn a_fast_second_makes_up_for_slow_ones() {
        let mut pace = MinRate::new(1024);
        assert!(pace.keeps_up(Duration::from_secs(1), 1 << 20));
        assert!(pace.keeps_up(Duration::from_secs(40), 1));
        assert!(MinRate::new(0).keeps_up(Duration::from_secs(1000), 0));
    }
}
