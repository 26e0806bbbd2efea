//! An immutable state of all records, with the structures that find them.

use std::sync::Arc;

use super::super::{Record, RegistryStats};
use super::facets::{Attribute, Facets};
use super::orders::Orders;
use super::owners::Owners;
use super::table::Table;
use crate::image::{ImageId, Usage};

/// All records at one moment and their indexes. Cloning is cheap.
#[derive(Clone)]
pub(in super::super) struct Snapshot {
    pub(super) table: Table,
    pub(super) orders: Orders,
    pub(super) facets: Facets,
    pub(super) stats: RegistryStats,
    pub(super) owners: Owners,
}

impl Snapshot {
    /// Returns a snapshot of these records. Much faster than adding them one by one.
    pub(in super::super) fn of(records: impl IntoIterator<Item = Arc<Record>>) -> Self {
        let mut table = Table::default();
        let mut stats = RegistryStats::default();
        let mut owners = Owners::default();
        for record in records {
            table.put(record);
        }
        for record in table.records() {
            stats.increment(record.image.status);
            owners.put(None, &record.image);
        }
        Self {
            orders: Orders::of(&table),
            facets: Facets::of(&table),
            table,
            stats,
            owners,
        }
    }

    pub(in super::super) fn get(&self, id: &ImageId) -> Option<&Arc<Record>> {
        self.table.record(self.table.slot(id)?)
    }

    /// Returns all records in no particular order.
    pub(in super::super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.table.records()
    }

    pub(in super::super) fn usage(&self, owner: Option<&str>) -> Usage {
        self.owners.usage(owner)
    }

    /// Adds a record or replaces an earlier version.
    pub(in super::super) fn put(&mut self, record: Arc<Record>) {
        let new = &record.image;
        let slot = self.table.slot(&new.id);
        let old = slot.and_then(|slot| self.table.record(slot)).cloned();
        let slot = slot.unwrap_or(self.table.next_slot());
        let old = old.as_ref().map(|record| &record.image);
        // The table changes last: orders and facets find the old entries by the old record, which
        // they read from the table.
        self.orders.put(&self.table, slot, old, new);
        self.facets.put(slot, old, new);
        self.owners.put(old, new);
        if let Some(old) = old {
            self.stats.decrement(old.status);
        }
        self.stats.increment(new.status);
        self.table.put(record);
    }

    /// Removes a record.
    pub(in super::super) fn remove(&mut self, id: &ImageId) {
        let slot = self.table.slot(id);
        let Some((slot, record)) =
            slot.and_then(|slot| Some((slot, self.table.record(slot).cloned()?)))
        else {
            return;
        };
        // The table changes last, as in `put`.
        self.orders.remove(&self.table, &record.image);
        self.facets.remove(slot, &record.image);
        self.owners.remove(&record.image);
        self.stats.decrement(record.image.status);
        self.table.remove(id);
    }

    /// Returns the number of deleted images of an owner.
    pub(in super::super) fn deleted_images(&self, owner: Option<&str>) -> u64 {
        self.owners.deleted_images(owner)
    }

    /// Returns the deleted images of an owner except the `kept` most recently deleted ones. Reads
    /// all images of the owner.
    pub(in super::super) fn oldest_deleted(
        &self,
        owner: Option<&str>,
        kept: u64,
    ) -> Vec<Arc<Record>> {
        let mut deleted = Vec::new();
        let ranges = self.facets.split(Attribute::Owner, [owner]).matching;
        for slot_range in ranges {
            slot_range.for_each(|slot| deleted.extend(self.table.record(slot).cloned()));
        }
        // The hashes of different owners may be equal in the facets.
        deleted
            .retain(|record| record.image.is_tombstone() && record.image.owner.as_deref() == owner);
        deleted.sort_unstable_by_key(|record| (record.image.deleted_at, record.image.id));
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        deleted.truncate(deleted.len().saturating_sub(kept));
        deleted
    }
}
