//! Memory that a crowd has left behind.

use std::time::{Duration, Instant};

use crate::net;

/// Connections that make a crowd: their buffers are about 16 KiB each.
const CROWD: usize = 2_000;

/// Least time from one hand-over to the next. One locks the heap of each worker in turn, for
/// about 3 microseconds a connection of the crowd.
const EVERY: Duration = Duration::from_secs(30);

/// Gives freed memory back to the system when it is worth the while.
///
/// Buffers of connections that are served at the same time lie between what is kept of each,
/// so that the allocator cannot give them back by itself: 10,000 clients that come at once
/// and then rest would keep 150 MiB from everybody else.
#[derive(Default)]
pub(super) struct Memory {
    given_back: Option<Instant>,
}

impl Memory {
    /// To be called every few seconds, on a thread that may wait.
    pub(super) fn look_after(&mut self) {
        let is_early = self.given_back.is_some_and(|at| at.elapsed() < EVERY);
        if is_early || net::parked_since_peak() < CROWD {
            return;
        }
        net::forget_peak();
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
