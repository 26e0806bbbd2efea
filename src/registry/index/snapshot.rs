//! Every record at one moment.

use std::sync::Arc;

use super::super::{Census, Record};
use super::facets::Facets;
use super::orders::Orders;
use super::owners::Owners;
use super::table::Table;
use crate::image::{ImageId, Usage};

/// All records at one moment, and what finds them. Cloning is cheap.
#[derive(Clone)]
pub(in super::super) struct Snapshot {
    pub(super) table: Table,
    pub(super) orders: Orders,
    pub(super) facets: Facets,
    pub(super) census: Census,
    pub(super) owners: Owners,
}

impl Snapshot {
    /// All records at once, which is many times faster than one by one.
    pub(in super::super) fn of(records: impl IntoIterator<Item = Arc<Record>>) -> Self {
        let mut table = Table::default();
        let mut census = Census::default();
        let mut owners = Owners::default();
        for record in records {
            table.put(record);
        }
        for record in table.records() {
            census.count_in(record.image.status);
            owners.put(None, &record.image);
        }
        Self {
            orders: Orders::of(&table),
            facets: Facets::of(&table),
            table,
            census,
            owners,
        }
    }

    pub(in super::super) fn get(&self, id: &ImageId) -> Option<&Arc<Record>> {
        self.table.record(self.table.slot(id)?)
    }

    /// All of them, in no order that means anything.
    pub(in super::super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.table.records()
    }

    pub(in super::super) fn usage(&self, owner: Option<&str>) -> Usage {
        self.owners.usage(owner)
    }

    /// Adds a record, or puts it in the place of an earlier version.
    pub(in super::super) fn put(&mut self, record: Arc<Record>) {
        let new = &record.image;
        let slot = self.table.slot(&new.id);
        let old = slot.and_then(|slot| self.table.record(slot)).cloned();
        let slot = slot.unwrap_or(self.table.len() as u32);
        let old = old.as_ref().map(|record| &record.image);
        self.orders.put(&self.table, slot, old, new);
        self.facets.put(slot, old, new);
        self.owners.put(old, new);
        if let Some(old) = old {
            self.census.count_out(old.status);
        }
        self.census.count_in(new.status);
        self.table.put(record);
    }
}
