//! Every record in memory, in every order: what answers `get` and `list`.
//!
//! A snapshot never changes. The one writer makes the next snapshot from it, sharing all
//! that stays the same, and publishes it; readers take no lock and wait for nobody.

mod order;
mod signature;

use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::{HashMap, OrdMap};

use self::order::{ORDERS, OrderKey};
use self::signature::{Row, Sieve};
use super::{Census, Record};
use crate::image::{ImageId, Query, SortDirection};

/// All records at one moment. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Snapshot {
    by_id: HashMap<ImageId, Arc<Record>>,
    orders: [OrdMap<OrderKey, Row>; ORDERS.len()],
    census: Census,
}

/// The marker of a list names nothing that the list could show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownMarker;

impl Snapshot {
    pub(super) fn get(&self, id: &ImageId) -> Option<&Arc<Record>> {
        self.by_id.get(id)
    }

    /// Adds a record, or puts it in the place of an earlier version.
    pub(super) fn put(&mut self, record: Arc<Record>) {
        let row = Row::new(&record);
        self.census.count_in(record.image.status);
        if let Some(old) = self.by_id.insert(record.image.id, Arc::clone(&record)) {
            self.forget(&old, &record);
        }
        for (order, key) in self.orders.iter_mut().zip(ORDERS) {
            order.insert(OrderKey::new(key, &record.image), row.clone());
        }
    }

    /// Takes the old version out of the count, and out of the orders in which the new one stands elsewhere.
    fn forget(&mut self, old: &Record, new: &Record) {
        self.census.count_out(old.image.status);
        for (order, key) in self.orders.iter_mut().zip(ORDERS) {
            let old_key = OrderKey::new(key, &old.image);
            if old_key != OrderKey::new(key, &new.image) {
                order.remove(&old_key);
            }
        }
    }

    /// One page. Walks the order from the marker on and stops when the page is full; rows
    /// are sieved without touching the records behind them.
    pub(super) fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>, UnknownMarker> {
        let start = query.marker.map(|id| self.marker(&id, query)).transpose()?;
        let order = ORDERS.iter().position(|key| *key == query.sort_key);
        let Some(order) = order.map(|position| &self.orders[position]) else {
            return Ok(Vec::new());
        };
        let sieve = Sieve::new(query);
        let wanted = |row: &&Row| sieve.admits(row) && query.matches(&row.record.image);
        let taken = |row: &Row| Arc::clone(&row.record);
        let bound = start.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(match query.sort_direction {
            SortDirection::Ascending => order
                .range((bound, Bound::Unbounded))
                .map(|(_, row)| row)
                .filter(wanted)
                .take(query.limit)
                .map(taken)
                .collect(),
            SortDirection::Descending => order
                .range((Bound::Unbounded, bound))
                .rev()
                .map(|(_, row)| row)
                .filter(wanted)
                .take(query.limit)
                .map(taken)
                .collect(),
        })
    }

    fn marker(&self, id: &ImageId, query: &Query) -> Result<OrderKey, UnknownMarker> {
        let record = self.get(id).ok_or(UnknownMarker)?;
        Ok(OrderKey::new(query.sort_key, &record.image))
    }
}

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
        self.current.load().list(query)
    }

    pub(super) fn census(&self) -> Census {
        self.current.load().census
    }

    /// Makes a snapshot the current one. There is one writer.
    pub(super) fn publish(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
    }
}

#[cfg(test)]
mod tests;
