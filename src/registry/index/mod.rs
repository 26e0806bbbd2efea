//! All records in memory, in every sort order. Answers `get` and `list` for the drivers that keep a
//! local copy.
//!
//! A snapshot is immutable. The single writer derives the next snapshot from it, sharing everything
//! that does not change, and publishes it. Readers take no lock and never wait.
//!
//! Each image has a slot, a small number. The sort orders and the inverted index are sequences of
//! slots, four and eight bytes each; [`search`] describes how a page is found in them.

mod conditions;
mod facets;
mod orders;
mod owners;
mod search;
mod sequence;
mod slot_range;
mod slot_set;
mod snapshot;
mod table;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub(super) use self::search::UnknownMarker;
pub(super) use self::snapshot::Snapshot;
use super::{Record, RegistryStats};
use crate::image::{ImageId, Query, Usage};

/// The current snapshot, for readers on every thread.
pub(super) struct Index {
    current: ArcSwap<Snapshot>,
}

impl Index {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self {
            current: ArcSwap::from_pointee(snapshot),
        }
    }

    pub(super) fn get(&self, id: &ImageId) -> Option<Arc<Record>> {
        self.current.load().get(id).cloned()
    }

    pub(super) fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>, UnknownMarker> {
        let (page, work) = search::page(&self.current.load(), query, search::BOUNDS)?;
        tracing::trace!(records = work.records, slots = work.slots, "listed");
        Ok(page)
    }

    pub(super) fn stats(&self) -> RegistryStats {
        let current = self.current.load();
        let mut stats = current.stats;
        stats.usage = current.owners.total();
        stats
    }

    pub(super) fn usage(&self, owner: Option<&str>) -> Usage {
        self.current.load().usage(owner)
    }

    /// Returns the current snapshot.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.current.load().as_ref().clone()
    }

    /// Makes a snapshot the current one. Only one thread may publish: a concurrent one would lose
    /// the changes of the other.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}

#[cfg(test)]
mod tests;
