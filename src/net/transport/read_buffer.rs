//! Limits the memory of the read buffers of all connections together.
//!
//! hyper doubles a connection's read buffer whenever a read fills it, without a limit across
//! connections. Large reads make an upload cheap, but a large buffer for each of a thousand
//! uploads would exhaust the memory. The transport therefore asks a [`ReadBufferBudget`] before
//! each read: a read that is shorter than the buffer does not make it grow.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Buffers up to this size do not count against the budget.
const FREE_BYTES: usize = 32 * 1024;

/// Bytes above [`FREE_BYTES`] of all buffers now, and the peak since [`reset_peak`].
static GRANTED_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The share of one connection's read buffer in the memory of all.
#[derive(Debug)]
pub(super) struct ReadBufferBudget {
    /// Upper bound of the size of hyper's buffer. A power of two.
    buffer_bytes: usize,
    most_buffer_bytes: usize,
    most_granted_bytes: usize,
}

impl ReadBufferBudget {
    /// Creates the budget of a new connection. Its buffer may grow to `most_buffer_bytes` as long
    /// as all connections together have at most `most_granted_bytes` above their free share.
    pub(super) fn new(most_buffer_bytes: usize, most_granted_bytes: usize) -> Self {
        Self {
            buffer_bytes: FREE_BYTES,
            most_buffer_bytes,
            most_granted_bytes,
        }
    }

    /// Returns the number of bytes that the next read may fill of a buffer with `free_bytes` of
    /// free space.
    ///
    /// The limit leaves one byte of the buffer free, so that hyper does not grow it, unless the
    /// buffer may grow or has reached its largest size.
    pub(super) fn limit(&mut self, free_bytes: usize) -> usize {
        // hyper offers its free space. If that is less than the allowed size, the buffer holds
        // unread bytes, and filling it does not exceed the size.
        if free_bytes < self.buffer_bytes || self.buffer_bytes >= self.most_buffer_bytes {
            return free_bytes;
        }
        if self.grow() {
            free_bytes.min(self.buffer_bytes - 1)
        } else {
            self.buffer_bytes - 1
        }
    }

    /// Returns all granted bytes. Called when the buffer is freed.
    pub(super) fn release(&mut self) {
        GRANTED_BYTES.fetch_sub(self.granted_bytes(), Ordering::Relaxed);
        self.buffer_bytes = FREE_BYTES;
    }

    fn granted_bytes(&self) -> usize {
        self.buffer_bytes - FREE_BYTES
    }

    /// Doubles the allowed size of the buffer. Returns false if the memory of all is exhausted.
    fn grow(&mut self) -> bool {
        let more_bytes = self.buffer_bytes;
        // Added first and taken back on failure: two threads can never both pass the limit.
        let granted = GRANTED_BYTES.fetch_add(more_bytes, Ordering::Relaxed) + more_bytes;
        if granted > self.most_granted_bytes {
            GRANTED_BYTES.fetch_sub(more_bytes, Ordering::Relaxed);
            return false;
        }
        PEAK_BYTES.fetch_max(granted, Ordering::Relaxed);
        self.buffer_bytes += more_bytes;
        true
    }
}

impl Drop for ReadBufferBudget {
    fn drop(&mut self) {
        self.release();
    }
}

/// Returns the number of bytes of large buffers that were released since the peak.
pub fn released_since_peak() -> usize {
    let now = GRANTED_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.load(Ordering::Relaxed).saturating_sub(now)
}

/// Restarts the measurement of the peak.
pub(in crate::net) fn reset_peak() {
    let now = GRANTED_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.store(now, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test for all cases, because the counters are shared by the process.
    #[test]
    fn buffers_grow_within_shared_limit() {
        const MOST: usize = 512 * 1024;
        let others = GRANTED_BYTES.load(Ordering::Relaxed);
        let all = others + MOST - FREE_BYTES;
        let mut first = ReadBufferBudget::new(MOST, all);
        assert_eq!(first.limit(8192), 8192);
        let mut free_bytes = FREE_BYTES;
        while free_bytes < MOST {
            // The read fills the buffer, so that hyper doubles it.
            assert_eq!(first.limit(free_bytes), free_bytes);
            free_bytes *= 2;
        }
        assert_eq!(
            first.limit(MOST + 1000),
            MOST + 1000,
            "the buffer has its largest size"
        );
        let mut second = ReadBufferBudget::new(MOST, all);
        assert_eq!(second.limit(FREE_BYTES + 100), FREE_BYTES - 1);
        assert!(released_since_peak() < MOST);
        first.release();
        assert!(released_since_peak() >= MOST - FREE_BYTES);
        assert_eq!(second.limit(FREE_BYTES), FREE_BYTES);
        drop(second);
        assert_eq!(GRANTED_BYTES.load(Ordering::Relaxed), others);
    }
}
