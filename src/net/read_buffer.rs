//! Memory for what connections receive, of all of them together.
//!
//! hyper doubles its read buffer whenever a read fills it. Large reads make an upload cheap, and
//! a large buffer for each of a thousand uploads would fill the memory. hyper asks nobody, so the
//! transport does: a read that is shorter than the buffer does not make it grow.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A buffer of this size is free to every connection.
const FREE_BYTES: usize = 32 * 1024;

/// Bytes of all larger buffers now, and the most since [`reset_peak`].
static GRANTED_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

/// The room that the read buffer of one connection has.
#[derive(Debug)]
pub(super) struct ReadBufferBudget {
    /// hyper's buffer is not larger than this; a power of two.
    buffer_bytes: usize,
    most_buffer_bytes: usize,
    most_granted_bytes: usize,
}

impl ReadBufferBudget {
    /// The room of a new connection, whose buffer may grow to `most_buffer_bytes` as long as
    /// the large buffers of all connections have no more than `most_granted_bytes`.
    pub(super) fn new(most_buffer_bytes: usize, most_granted_bytes: usize) -> Self {
        Self {
            buffer_bytes: FREE_BYTES,
            most_buffer_bytes,
            most_granted_bytes,
        }
    }

    /// How many bytes may be read into a buffer that has room for `room_bytes`. At least one
    /// less than the buffer has, unless it may grow or is as large as it may be.
    pub(super) fn limit(&mut self, room_bytes: usize) -> usize {
        if room_bytes < self.buffer_bytes || self.buffer_bytes >= self.most_buffer_bytes {
            return room_bytes;
        }
        if self.grow() {
            room_bytes.min(self.buffer_bytes - 1)
        } else {
            self.buffer_bytes - 1
        }
    }

    /// Gives everything back that was granted; the buffer is gone.
    pub(super) fn release(&mut self) {
        GRANTED_BYTES.fetch_sub(self.granted_bytes(), Ordering::Relaxed);
        self.buffer_bytes = FREE_BYTES;
    }

    fn granted_bytes(&self) -> usize {
        self.buffer_bytes - FREE_BYTES
    }

    /// Doubles the size that the buffer may have.
    fn grow(&mut self) -> bool {
        let more_bytes = self.buffer_bytes;
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

/// How many bytes of large buffers were given back since most of them were granted.
pub fn released_since_peak() -> usize {
    let now = GRANTED_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.load(Ordering::Relaxed).saturating_sub(now)
}

/// Counts the peak anew.
pub(super) fn reset_peak() {
    let now = GRANTED_BYTES.load(Ordering::Relaxed);
    PEAK_BYTES.store(now, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because the counters are those of the process.
    #[test]
    fn buffers_grow_within_the_memory_of_all() {
        const MOST: usize = 512 * 1024;
        let others = GRANTED_BYTES.load(Ordering::Relaxed);
        let all = others + MOST - FREE_BYTES;
        let mut first = ReadBufferBudget::new(MOST, all);
        assert_eq!(first.limit(8192), 8192);
        let mut room_bytes = FREE_BYTES;
        while room_bytes < MOST {
            // The read fills the buffer, so that hyper doubles it.
            assert_eq!(first.limit(room_bytes), room_bytes);
            room_bytes *= 2;
        }
        assert_eq!(
            first.limit(MOST + 1000),
            MOST + 1000,
            "as large as it may be"
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
