//! The memory for buffered parts, shared by all uploads of the process.
//!
//! A part reserves memory as its bytes arrive, so a slow client holds no more than it has sent. A
//! part of known length never waits: without memory it is streamed. A part of unknown length can be
//! sent only from a minimum size on, and waits for memory until then.
//!
//! Such parts could deadlock, each holding memory that the others need. Therefore memory is granted
//! only if afterwards at least one of them could still grow to its minimum size (the banker's
//! algorithm, reduced to one resource).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A bounded amount of memory. Cheap to clone; clones share the memory.
#[derive(Debug, Clone)]
pub(super) struct PartMemory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    max_bytes: u64,
    state: Mutex<MemoryState>,
    /// Notified when memory was released, or a part will not grow any more.
    changed: Notify,
}

#[derive(Debug)]
struct MemoryState {
    free_bytes: u64,
    /// Bytes that each growing part lacks to its minimum size, by number.
    lacking: HashMap<u64, u64>,
    next_number: u64,
    /// Number of parts that wait for memory.
    waiting: usize,
}

/// The memory of one part. Dropped, it is released.
#[derive(Debug)]
pub(super) struct MemoryReservation {
    memory: PartMemory,
    number: u64,
    held_bytes: u64,
    /// The minimum size at which the part can be sent; `None` if it can be streamed.
    sendable_bytes: Option<u64>,
}

/// Counts a waiting part while it exists.
struct Waiting<'a>(&'a PartMemory);

impl PartMemory {
    pub(super) fn new(max_bytes: u64) -> Self {
        let state = MemoryState {
            free_bytes: max_bytes,
            lacking: HashMap::new(),
            next_number: 0,
            waiting: 0,
        };
        Self {
            shared: Arc::new(Shared {
                max_bytes,
                state: Mutex::new(state),
                changed: Notify::new(),
            }),
        }
    }

    /// Returns the total amount, which limits the size of a part.
    pub(super) fn max_bytes(&self) -> u64 {
        self.shared.max_bytes
    }

    /// Returns true if a part waits for memory.
    pub(super) fn is_short(&self) -> bool {
        self.lock().waiting > 0
    }

    /// Returns an empty reservation for a part. A part of unknown length can be sent from
    /// `sendable_bytes` on, which is limited to [`PartMemory::max_bytes`]; `None` is for parts that
    /// can be streamed.
    pub(super) fn part(&self, sendable_bytes: Option<u64>) -> MemoryReservation {
        let sendable_bytes = sendable_bytes.map(|bytes| bytes.min(self.max_bytes()));
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        MemoryReservation {
            memory: self.clone(),
            number,
            held_bytes: 0,
            sendable_bytes,
        }
    }

    fn lock(&self) -> MutexGuard<'_, MemoryState> {
        // The state is consistent whenever the lock is released, also by a panic.
        let locked = self.shared.state.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryReservation {
    /// Reserves up to `wanted_bytes` more without waiting, and returns how many. A part that can be
    /// streamed gets none while another part waits.
    pub(super) fn try_grow(&mut self, wanted_bytes: u64) -> u64 {
        let memory = self.memory.clone();
        let mut state = memory.lock();
        if self.sendable_bytes.is_none() && state.waiting > 0 {
            return 0;
        }
        let lacking = self.lacking();
        let amounts = [wanted_bytes, wanted_bytes.min(lacking.unwrap_or(0))];
        // If the whole amount is not safe, the rest up to the minimum size may be: afterwards this
        // part lacks nothing.
        let granted = amounts
            .into_iter()
            .find(|bytes| *bytes > 0 && state.may_grant(self.number, lacking, *bytes));
        let Some(granted) = granted else {
            return 0;
        };
        state.free_bytes -= granted;
        self.held_bytes += granted;
        if let Some(lacking) = self.lacking() {
            state.lacking.insert(self.number, lacking);
        }
        granted
    }

    /// Reserves up to `wanted_bytes` more, at least one byte, and waits until that is possible.
    pub(super) async fn grow(&mut self, wanted_bytes: u64) -> u64 {
        let memory = self.memory.clone();
        let mut waiting = None;
        loop {
            let changed = memory.shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Enabled before the attempt, so that a release in between is not missed.
            changed.as_mut().enable();
            match self.try_grow(wanted_bytes) {
                0 if wanted_bytes > 0 => {}
                granted => return granted,
            }
            waiting.get_or_insert_with(|| Waiting::new(&memory));
            changed.await;
        }
    }

    /// Declares that the part will not grow any more, so that no memory is kept for it.
    pub(super) fn stop_growing(&mut self) {
        self.memory.lock().lacking.remove(&self.number);
        self.memory.shared.changed.notify_waiters();
    }

    fn lacking(&self) -> Option<u64> {
        let sendable_bytes = self.sendable_bytes?;
        Some(sendable_bytes.saturating_sub(self.held_bytes))
    }
}

impl MemoryState {
    /// Returns true if, after `bytes` were granted to the part `number` that lacks `lacking`, at
    /// least one growing part could still reach its minimum size with the free memory.
    fn may_grant(&self, number: u64, lacking: Option<u64>, bytes: u64) -> bool {
        let Some(free_bytes) = self.free_bytes.checked_sub(bytes) else {
            return false;
        };
        let own = lacking.map(|lacking| lacking.saturating_sub(bytes));
        let others = self.lacking.iter().filter(|(other, _)| **other != number);
        let mut all = others.map(|(_, lacking)| *lacking).chain(own).peekable();
        all.peek().is_none() || all.any(|lacking| lacking <= free_bytes)
    }
}

impl Drop for MemoryReservation {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        state.free_bytes += self.held_bytes;
        state.lacking.remove(&self.number);
        drop(state);
        self.memory.shared.changed.notify_waiters();
    }
}

impl<'a> Waiting<'a> {
    fn new(memory: &'a PartMemory) -> Self {
        memory.lock().waiting += 1;
        Self(memory)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn slow_parts_hold_only_received_bytes() {
        let memory = PartMemory::new(100);
        let mut slow: Vec<_> = (0..8).map(|_| memory.part(Some(50))).collect();
        for part in &mut slow {
            assert_eq!(part.try_grow(1), 1);
        }
        let mut fast = memory.part(Some(50));
        assert_eq!(fast.grow(50).await, 50);
        assert!(!memory.is_short());
    }

    #[tokio::test]
    async fn parts_of_unknown_length_do_not_deadlock() {
        let memory = PartMemory::new(100);
        let mut first = memory.part(Some(60));
        let mut second = memory.part(Some(60));
        assert_eq!(first.try_grow(30), 30);
        assert_eq!(second.try_grow(30), 30);
        assert_eq!(second.try_grow(20), 20);
        // Granted, neither part could reach its minimum size.
        assert_eq!(first.try_grow(20), 0);
        assert_eq!(first.try_grow(10), 10);
        assert_eq!(first.try_grow(1), 0);
        let mut known = memory.part(None);
        assert_eq!(known.try_grow(1), 0);
        {
            let wait = first.grow(1);
            let mut wait = std::pin::pin!(wait);
            assert!(timeout(SHORT, wait.as_mut()).await.is_err());
            assert!(memory.is_short());
            assert_eq!(second.try_grow(10), 10);
            second.stop_growing();
            assert!(timeout(SHORT, wait.as_mut()).await.is_err());
            drop(second);
            assert_eq!(timeout(SHORT, wait).await, Ok(1));
        }
        assert!(!memory.is_short());
        drop(first);
        assert_eq!(known.try_grow(100), 100);
    }

    #[tokio::test]
    async fn minimum_size_is_limited_to_the_total_memory() {
        let memory = PartMemory::new(10);
        let mut part = memory.part(Some(1_000));
        assert_eq!(timeout(SHORT, part.grow(10)).await, Ok(10));
        assert!(timeout(SHORT, part.grow(1)).await.is_err());
    }
}
