//! The sort orders of all images, one per sort key.

use std::cmp::Ordering;

use super::sequence::{Position, Sequence};
use super::slot_range::{Partition, SlotRange};
use super::table::{Slot, Table};
use crate::image::{Image, SortKey, SortValue};

/// All slots in ascending order of each sort key. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Orders {
    /// In the order of [`SortKey::ALL`].
    orders: [Sequence<Slot>; SortKey::ALL.len()],
}

impl Orders {
    /// Returns the orders of all images of a table.
    pub(super) fn of(table: &Table) -> Self {
        let images: Vec<&Image> = table.records().map(|record| &record.image).collect();
        let mut by_age: Vec<Slot> = (0..images.len() as Slot).collect();
        let age = |image: &Image| (image.created_at, image.id);
        by_age.sort_by_cached_key(|slot| images.get(*slot as usize).copied().map(age));
        Self {
            orders: SortKey::ALL.map(|key| {
                // The sort is stable, so ties stay in the order of creation.
                let value = |slot: &Slot| -> Option<SortValue<'_>> {
                    images.get(*slot as usize).map(|image| key.value(image))
                };
                let mut slots = by_age.clone();
                slots.sort_by_cached_key(value);
                Sequence::from_sorted(&slots)
            }),
        }
    }

    pub(super) fn by(&self, key: SortKey) -> &Sequence<Slot> {
        &self.orders[key as usize]
    }

    /// Adds an image that is new to the table, or moves one that is about to change there.
    pub(super) fn put(&mut self, table: &Table, slot: Slot, old: Option<&Image>, new: &Image) {
        for (order, key) in self.orders.iter_mut().zip(SortKey::ALL) {
            if let Some(old) = old {
                // Most changes leave most orders as they are. The order is total, so equal means
                // the same position.
                if key.order(old, new) == Ordering::Equal {
                    continue;
                }
                order.remove(position(order, table, |image| {
                    key.order(image, old).is_lt()
                }));
            }
            let position = position(order, table, |image| key.order(image, new).is_lt());
            order.insert(position, slot);
        }
    }

    /// Removes an image that is still in the table.
    pub(super) fn remove(&mut self, table: &Table, old: &Image) {
        for (order, key) in self.orders.iter_mut().zip(SortKey::ALL) {
            order.remove(position(order, table, |image| {
                key.order(image, old).is_lt()
            }));
        }
    }

    /// Returns the images that are neither `below` nor `above`, and all others. In the order,
    /// images that are `below` come first and images that are `above` come last.
    pub(super) fn split(
        &self,
        key: SortKey,
        table: &Table,
        below: impl Fn(&Image) -> bool,
        above: impl Fn(&Image) -> bool,
    ) -> Partition<'_> {
        let order = self.by(key);
        let start = position(order, table, below);
        let end = position(order, table, |image| !above(image)).max(start);
        let slot_range = |range| SlotRange::Order(order, range);
        Partition {
            matching: vec![slot_range(start..end)],
            others: vec![
                slot_range(order.start()..start),
                slot_range(end..order.end()),
            ],
        }
    }
}

/// Returns the first position in an order whose image is not `before`.
pub(super) fn position(
    order: &Sequence<Slot>,
    table: &Table,
    before: impl Fn(&Image) -> bool,
) -> Position {
    order.position(|slot| table.image(*slot).is_some_and(&before))
}
