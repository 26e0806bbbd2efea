//! The backlog of sled: which items changed since sled was last written.
//!
//! The commit thread adds to it and the sled writer ([`sled_writer`](super::sled_writer)) takes
//! from it. It holds keys only; the sled writer writes each item in the state it has by then. So
//! the backlog never needs more memory than there are items, however far sled lags.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::Version;
use super::journal::Purged;
use super::key::Key;
use crate::metrics;

#[derive(Default)]
struct State {
    changed: HashSet<Key>,
    purged: Purged,
    is_closed: bool,
}

/// The keys of items that sled lacks, passed from the commit thread to the sled writer.
#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
}

impl Backlog {
    pub(super) fn new(changed: HashSet<Key>, purged: Purged) -> Self {
        let state = State {
            changed,
            purged,
            is_closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Adds items that were written or removed; `purged` are the removed ones.
    pub(super) fn add(&self, changed: Vec<Key>, purged: Vec<(Key, Version)>) {
        let mut state = self.lock();
        let was_idle = state.changed.is_empty();
        state.changed.extend(changed);
        state.purged.extend(purged);
        metrics::registry_behind(state.changed.len());
        drop(state);
        if was_idle {
            self.changed.notify_one();
        }
    }

    /// Returns items that sled could not write.
    pub(super) fn restore_pending(&self, changed: impl IntoIterator<Item = Key>) {
        let mut state = self.lock();
        state.changed.extend(changed);
        metrics::registry_behind(state.changed.len());
    }

    /// Announces that nothing will be added any more.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits until there is an item. Returns false if there is none and the backlog is closed.
    pub(super) fn wait(&self) -> bool {
        let idle = |state: &mut State| state.changed.is_empty() && !state.is_closed;
        let state = self.changed.wait_while(self.lock(), idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        !state.changed.is_empty()
    }

    /// Waits for this time or until the backlog is closed. Returns true if it is still open.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let open = |state: &mut State| !state.is_closed;
        let waited = self.changed.wait_timeout_while(self.lock(), time, open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_closed
    }

    /// Takes at most `max` items.
    pub(super) fn take(&self, max: usize) -> Vec<Key> {
        let mut state = self.lock();
        let taken: Vec<Key> = state.changed.iter().take(max).cloned().collect();
        for key in &taken {
            state.changed.remove(key);
        }
        taken
    }

    /// Notes that sled has durably stored these items as they were when they were taken.
    pub(super) fn mark_synced(&self, keys: &[Key]) {
        let mut state = self.lock();
        for key in keys {
            // An item that changed again since may be removed again: its tombstone is still
            // needed by the next compaction of the journal.
            if !state.changed.contains(key) {
                state.purged.remove(key);
            }
        }
        metrics::registry_behind(state.changed.len());
    }

    /// Returns the removed items that sled may still have.
    pub(super) fn purged(&self) -> Purged {
        self.lock().purged.clone()
    }

    /// Returns the version in which an item was removed; zero if it was not.
    pub(super) fn purged_version(&self, key: &Key) -> Version {
        self.lock().purged.get(key).copied().unwrap_or_default()
    }

    // A std lock, not an asynchronous one: it is held for a few memory operations and never while
    // waiting for the disk.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
