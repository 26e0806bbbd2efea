//! Returns freed memory to the system after a peak of connections or uploads.
//!
//! The buffers of connections that are served at the same time lie between the state that is kept
//! for each connection, so the allocator cannot release them by itself: 10,000 clients that
//! connect at once and then idle would keep 150 MiB. The same holds for the large read buffers
//! of uploads.

use std::time::{Duration, Instant};

use crate::net;
use crate::transfer::release_idle_blocks;

/// Number of connections that became idle since the peak for which trimming is worthwhile. Each
/// had buffers of about 16 KiB.
const IDLE_CONNECTIONS: usize = 2_000;

/// Size of read buffers released since the peak for which trimming is worthwhile, in bytes.
const RELEASED_BYTES: usize = 8 * 1024 * 1024;

/// Minimum time between two trims. A trim locks the heap of each worker in turn, for about
/// 3 microseconds per connection of the peak.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Decides when to trim.
#[derive(Default)]
pub(in crate::server) struct HeapTrimmer {
    trimmed_at: Option<Instant>,
}

impl HeapTrimmer {
    /// Releases idle upload buffers, and trims the heap after a peak. Call it every few seconds on
    /// a thread that may block.
    pub(in crate::server) fn trim_if_worthwhile(&mut self) {
        release_idle_blocks();
        let too_early = self
            .trimmed_at
            .is_some_and(|at| at.elapsed() < TRIM_INTERVAL);
        let is_worthwhile = net::parked_since_peak() >= IDLE_CONNECTIONS
            || net::released_since_peak() >= RELEASED_BYTES;
        if too_early || !is_worthwhile {
            return;
        }
        net::reset_peaks();
        trim();
        self.trimmed_at = Some(Instant::now());
    }
}

#[cfg(target_env = "gnu")]
fn trim() {
    // SAFETY: takes a number, and every thread may call it at any time (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries have no such call. musl releases free memory by itself.
#[cfg(not(target_env = "gnu"))]
fn trim() {}
