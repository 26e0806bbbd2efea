//! Counts the connections that hold buffers, and their peak. The server returns unused memory to
//! the system when enough connections were parked since the peak.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The connections of this process that hold buffers.
static CONNECTIONS: PeakGauge = PeakGauge::new();

/// A counter of current users, and its peak since the last reset.
struct PeakGauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// Counts one connection that holds buffers, until it is parked or ends.
pub(super) struct ActiveConnection(&'static PeakGauge);

impl PeakGauge {
    const fn new() -> Self {
        Self {
            now: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    fn enter(&'static self) -> ActiveConnection {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        // The read first avoids a write: while the peak does not change, its cache line stays
        // shared among the cores.
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
        CONNECTIONS.enter()
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the number of connections of this process that have released their buffers since the
/// peak.
pub fn parked_since_peak() -> usize {
    CONNECTIONS.parked_since_peak()
}

/// Restarts the measurement of the peak.
pub fn reset_peak() {
    CONNECTIONS.reset_peak();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_is_kept_until_reset() {
        static GAUGE: PeakGauge = PeakGauge::new();
        let active: Vec<ActiveConnection> = (0..5).map(|_| GAUGE.enter()).collect();
        assert_eq!(GAUGE.parked_since_peak(), 0);
        drop(active);
        assert_eq!(GAUGE.parked_since_peak(), 5);
        let _one = GAUGE.enter();
        assert_eq!(GAUGE.parked_since_peak(), 4);
        GAUGE.reset_peak();
        assert_eq!(GAUGE.parked_since_peak(), 0);
    }
}
