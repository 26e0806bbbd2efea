//! Which records sled does not have yet.
//!
//! Only names: sled receives each record as it is when its turn comes. So however far sled is
//! behind, this takes no more memory than there are images.

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::Version;
use super::journal::Purged;
use crate::image::ImageId;
use crate::metrics;

#[derive(Default)]
struct State {
    changed: HashSet<ImageId>,
    purged: Purged,
    is_closed: bool,
}

/// The changes that sled lacks, passed from the commit thread to the thread that writes sled.
#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
}

impl Backlog {
    pub(super) fn new(changed: HashSet<ImageId>, purged: Purged) -> Self {
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

    /// Records were written or removed.
    pub(super) fn add(&self, changed: Vec<ImageId>, purged: Vec<(ImageId, Version)>) {
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

    /// Puts back what sled did not take.
    pub(super) fn restore_pending(&self, changed: impl IntoIterator<Item = ImageId>) {
        let mut state = self.lock();
        state.changed.extend(changed);
        metrics::registry_behind(state.changed.len());
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to be told; false when there is nothing and no more will
    /// come.
    pub(super) fn wait(&self) -> bool {
        let idle = |state: &mut State| state.changed.is_empty() && !state.is_closed;
        let state = self.changed.wait_while(self.lock(), idle);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        !state.changed.is_empty()
    }

    /// Waits for a time, but not when no more will come. Whether more can come.
    pub(super) fn pause(&self, time: Duration) -> bool {
        let open = |state: &mut State| !state.is_closed;
        let waited = self.changed.wait_timeout_while(self.lock(), time, open);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.is_closed
    }

    /// Takes at most so many.
    pub(super) fn take(&self, most: usize) -> Vec<ImageId> {
        let mut state = self.lock();
        let taken: Vec<ImageId> = state.changed.iter().take(most).copied().collect();
        for id in &taken {
            state.changed.remove(id);
        }
        taken
    }

    /// sled has these durably as they were when they were taken.
    pub(super) fn mark_synced(&self, ids: &[ImageId]) {
        let mut state = self.lock();
        for id in ids {
            if !state.changed.contains(id) {
                state.purged.remove(id);
            }
        }
        metrics::registry_behind(state.changed.len());
    }

    /// Images that were forgotten and that sled may still have.
    pub(super) fn purged(&self) -> Purged {
        self.lock().purged.clone()
    }

    /// The version in which an image was forgotten; zero for one that was not.
    pub(super) fn purged_version(&self, id: &ImageId) -> Version {
        self.lock().purged.get(id).copied().unwrap_or_default()
    }

    // A lock of std: it is held for a few operations on memory and never while waiting.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
