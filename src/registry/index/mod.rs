//! Every record in memory, in every order: what answers `get` and `list`.
//!
//! A snapshot never changes. The one writer makes the next snapshot from it, sharing all
//! that stays the same, and publishes it; readers take no lock and wait for nobody.
//!
//! An image has a slot, a number of its own. The orders and the inverted index are sequences
//! of such numbers, four and eight bytes each; [`search`] says how a page is found in them.

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

/// The snapshot of this moment, for readers on every worker.
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
        RegistryStats {
            usage: current.owners.total(),
            ..current.stats
        }
    }

    pub(super) fn usage(&self, owner: Option<&str>) -> Usage {
        self.current.load().usage(owner)
    }

    /// All records at this moment.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.current.load().as_ref().clone()
    }

    /// Makes a snapshot the current one. There is one writer.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}

#[cfg(test)]
mod tests;
