//! How many connections have buffers, and how many had at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The connections of this process.
static CONNECTIONS: Crowd = Crowd::new();

/// Those that have buffers.
struct Crowd {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// A connection that has buffers, until it is parked or ends.
pub(super) struct Awake(&'static Crowd);

impl Crowd {
    const fn new() -> Self {
        Self {
            now: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    fn wake(&'static self) -> Awake {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        // Read first: the line stays shared among the cores as long as nothing changes.
        if now > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(now, Ordering::Relaxed);
        }
        Awake(self)
    }

    fn parked_since_peak(&self) -> usize {
        let now = self.now.load(Ordering::Relaxed);
        self.peak.load(Ordering::Relaxed).saturating_sub(now)
    }

    fn forget_peak(&self) {
        self.peak
            .store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

impl Awake {
    pub(super) fn new() -> Self {
        CONNECTIONS.wake()
    }
}

impl Drop for Awake {
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
pub fn forget_peak() {
    CONNECTIONS.forget_peak();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_stays_until_it_is_forgotten() {
        static CROWD: Crowd = Crowd::new();
        let awake: Vec<Awake> = (0..5).map(|_| CROWD.wake()).collect();
        assert_eq!(CROWD.parked_since_peak(), 0);
        drop(awake);
        assert_eq!(CROWD.parked_since_peak(), 5);
        let _one = CROWD.wake();
        assert_eq!(CROWD.parked_since_peak(), 4);
        CROWD.forget_peak();
        assert_eq!(CROWD.parked_since_peak(), 0);
    }
}
