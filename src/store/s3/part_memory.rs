//! The memory that parts take on their way, all uploads of the process together.
//!
//! A part takes memory as its bytes arrive, so that a slow client holds no more than it has
//! sent. A part whose length is known never waits: without memory it is sent as it comes. A
//! part of unknown length cannot be sent before it is complete, and waits. Such parts could
//! block each other; therefore memory is given out only as long as, after that, one of them
//! could still grow to the size at which it can be sent (the banker's algorithm).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A bounded amount of memory. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub(super) struct PartMemory {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    most_bytes: u64,
    state: Mutex<MemoryState>,
    /// PartMemory came free, or a part will wait for no more.
    changed: Notify,
}

#[derive(Debug)]
struct MemoryState {
    free_bytes: u64,
    /// Bytes that each growing part lacks until it can be sent, by its number.
    lacking: HashMap<u64, u64>,
    next_number: u64,
    waiting: usize,
}

/// The memory of one part; dropped, it is free again.
#[derive(Debug)]
pub(super) struct MemoryReservation {
    memory: PartMemory,
    number: u64,
    held_bytes: u64,
    /// The size at which the part can be sent; `None` for one that can be sent as it comes.
    sendable_bytes: Option<u64>,
}

/// Counts a part that waits for memory.
struct Waiting<'a>(&'a PartMemory);

impl PartMemory {
    pub(super) fn new(most_bytes: u64) -> Self {
        let state = MemoryState {
            free_bytes: most_bytes,
            lacking: HashMap::new(),
            next_number: 0,
            waiting: 0,
        };
        Self {
            shared: Arc::new(Shared {
                most_bytes,
                state: Mutex::new(state),
                changed: Notify::new(),
            }),
        }
    }

    /// All there is: no part can hold more.
    pub(super) fn most_bytes(&self) -> u64 {
        self.shared.most_bytes
    }

    /// Whether a part waits for memory.
    pub(super) fn is_short(&self) -> bool {
        self.lock().waiting > 0
    }

    /// The account of a part that is about to arrive. One of unknown length can be sent from
    /// `sendable_bytes` on, at most [`PartMemory::most_bytes`]; any other can be sent as it comes.
    pub(super) fn part(&self, sendable_bytes: Option<u64>) -> MemoryReservation {
        let sendable_bytes = sendable_bytes.map(|bytes| bytes.min(self.most_bytes()));
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
        // Nothing between lock and unlock leaves the state at odds.
        let locked = self.shared.state.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryReservation {
    /// Takes up to `wanted_bytes` more if there are any now; returns how many were taken.
    /// A part that can be sent as it comes takes none while another waits.
    pub(super) fn try_grow(&mut self, wanted_bytes: u64) -> u64 {
        let memory = self.memory.clone();
        let mut state = memory.lock();
        if self.sendable_bytes.is_none() && state.waiting > 0 {
            return 0;
        }
        let lacking = self.lacking();
        let amounts = [wanted_bytes, wanted_bytes.min(lacking.unwrap_or(0))];
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

    /// Takes up to `wanted_bytes` more, at least one; waits until there is memory.
    pub(super) async fn grow(&mut self, wanted_bytes: u64) -> u64 {
        let memory = self.memory.clone();
        let mut waiting = None;
        loop {
            let changed = memory.shared.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // A change between the look and the wait is not missed.
            changed.as_mut().enable();
            match self.try_grow(wanted_bytes) {
                0 if wanted_bytes > 0 => {}
                granted => return granted,
            }
            waiting.get_or_insert_with(|| Waiting::new(&memory));
            changed.await;
        }
    }

    /// The part has grown as far as it will: others need not leave memory for it.
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
    /// Whether one of the growing parts could still become large enough to be sent, after a
    /// part that lacks so much has taken so many bytes.
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
    async fn slow_parts_hold_what_they_have_sent() {
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
    async fn parts_of_unknown_length_do_not_block_each_other() {
        let memory = PartMemory::new(100);
        let mut first = memory.part(Some(60));
        let mut second = memory.part(Some(60));
        assert_eq!(first.try_grow(30), 30);
        assert_eq!(second.try_grow(30), 30);
        assert_eq!(second.try_grow(20), 20);
        // The second could not be sent any more.
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
    async fn a_part_never_needs_more_than_there_is() {
        let memory = PartMemory::new(10);
        let mut part = memory.part(Some(1_000));
        assert_eq!(timeout(SHORT, part.grow(10)).await, Ok(10));
        assert!(timeout(SHORT, part.grow(1)).await.is_err());
    }
}
