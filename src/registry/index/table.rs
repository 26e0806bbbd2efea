//! The records themselves, by identifier and by slot.

use std::sync::Arc;

use imbl::{HashMap, Vector};

use super::super::Record;
use crate::image::{Image, ImageId};

/// The number of an image in this process, from 0 in the order of arrival. It stays the same when
/// the record changes, so indexes need no update for fields that do not change. The slot of a
/// removed image is reused.
pub(super) type Slot = u32;

/// All records. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Table {
    slots: HashMap<ImageId, Slot>,
    /// `None` in slots whose image was removed.
    records: Vector<Option<Arc<Record>>>,
    /// Free slots, for the next new images.
    free: Vector<Slot>,
}

impl Table {
    /// Returns the upper bound of all slots.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn slot(&self, id: &ImageId) -> Option<Slot> {
        self.slots.get(id).copied()
    }

    pub(super) fn record(&self, slot: Slot) -> Option<&Arc<Record>> {
        self.records.get(slot as usize)?.as_ref()
    }

    pub(super) fn image(&self, slot: Slot) -> Option<&Image> {
        self.record(slot).map(|record| &record.image)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter().flatten()
    }

    /// Returns the slot that the next new image will have.
    pub(super) fn next_slot(&self) -> Slot {
        let next = self.records.len() as Slot;
        self.free.last().copied().unwrap_or(next)
    }

    /// Adds a record or replaces an earlier version.
    pub(super) fn put(&mut self, record: Arc<Record>) {
        match self.slot(&record.image.id) {
            Some(slot) => drop(self.records.set(slot as usize, Some(record))),
            None => {
                let slot = self.next_slot();
                self.slots.insert(record.image.id, slot);
                match self.free.pop_back() {
                    Some(_) => drop(self.records.set(slot as usize, Some(record))),
                    None => self.records.push_back(Some(record)),
                }
            }
        }
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, id: &ImageId) {
        if let Some(slot) = self.slots.remove(id) {
            self.records.set(slot as usize, None);
            self.free.push_back(slot);
        }
    }
}
