//! Memory that a crowd has left behind.

use std::time::{Duration, Instant};

use crate::net;
use crate::transfer::release_idle_blocks;

/// Connections that make a crowd: their buffers are about 16 KiB each.
const CROWD: usize = 2_000;

/// Released read buffers of uploads that are worth the search, in bytes.
const RELEASED_BYTES: usize = 8 * 1024 * 1024;

/// Least time from one hand-over to the next. One locks the heap of each worker in turn, for
/// about 3 microseconds a connection of the crowd.
const EVERY: Duration = Duration::from_secs(10);

/// Gives freed memory back to the system when it is worth the while.
///
/// Buffers of connections that are served at the same time lie between what is kept of each,
/// so that the allocator cannot give them back by itself: 10,000 clients that come at once
/// and then rest would keep 150 MiB from everybody else. So do the large read buffers of
/// uploads.
#[derive(Default)]
pub(super) struct Memory {
    given_back: Option<Instant>,
}

impl Memory {
    /// To be called every few seconds, on a thread that may wait.
    pub(super) fn look_after(&mut self) {
        release_idle_blocks();
        let is_early = self.given_back.is_some_and(|at| at.elapsed() < EVERY);
        let is_worth_it =
            net::parked_since_peak() >= CROWD || net::released_since_peak() >= RELEASED_BYTES;
        if is_early || !is_worth_it {
            return;
        }
        net::reset_peaks();
        give_back();
        self.given_back = Some(Instant::now());
    }
}

#[cfg(target_env = "gnu")]
fn give_back() {
    // SAFETY: takes a number, and every thread may call it at any time.
    unsafe { libc::malloc_trim(0) };
}

/// Other C libraries have no such call; musl's gives back by itself.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}
