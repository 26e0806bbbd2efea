//! How many connections have buffers, and how many had at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The connections of this process.
static CONNECTIONS: PeakGauge = PeakGauge::new();

/// Those that have buffers.
struct PeakGauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// A connection that has buffers, until it is parked or ends.
pub(super) struct ActiveConnection(&'static PeakGauge);

impl PeakGauge {
    const fn new() -> Self {
        Self {
            now: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    fn wake(&'static self) -> ActiveConnection {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        // Read first: the line stays shared among the cores as long as nothing changes.
        if now > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
        ActiveConnection(self)
    }

    fn parked_since_peak(&self) -> usize {
        let now = self.now.load(Ordering::Relaxed);
        self.peak.load(Ordering::Relaxed).saturating_sub(now)
    }

    fn reset_peak(&self) {
        self.peak
            .store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl ActiveConnection {
    pub(super) fn new() -> Self {
        CONNECTIONS.wake()
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many connections of this process have given their buffers back since most of them had
/// some.
pub fn parked_since_peak() -> usize {
    CONNECTIONS.parked_since_peak()
}

/// Counts the peak anew.
pub fn reset_peak() {
    CONNECTIONS.reset_peak();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_stays_until_it_is_forgotten() {
        static CROWD: PeakGauge = PeakGauge::new();
        let awake: Vec<ActiveConnection> = (0..5).map(|_| CROWD.wake()).collect();
        assert_eq!(CROWD.parked_since_peak(), 0);
        drop(awake);
        assert_eq!(CROWD.parked_since_peak(), 5);
        let _one = CROWD.wake();
        assert_eq!(CROWD.parked_since_peak(), 4);
        CROWD.reset_peak();
        assert_eq!(CROWD.parked_since_peak(), 0);
    }
}
