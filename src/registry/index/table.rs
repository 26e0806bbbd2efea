//! The records themselves, by identifier and by number.

use std::sync::Arc;

use imbl::{HashMap, Vector};

use super::super::Record;
use crate::image::{Image, ImageId};

/// The number of an image in this process, from 0, in the order of arrival. It stays when the
/// record changes, so that whatever names an image by its slot stays too. The slot of an image that
/// was forgotten is taken by a later one.
pub(super) type Slot = u32;

/// Every record. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Table {
    slots: HashMap<ImageId, Slot>,
    /// `None` in slots whose image was forgotten.
    records: Vector<Option<Arc<Record>>>,
    /// Slots that the next images take.
    free: Vector<Slot>,
}

impl Table {
    /// All slots are below this.
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

    /// The slot that an image which is new will take.
    pub(super) fn next_slot(&self) -> Slot {
        let next = self.records.len() as Slot;
        self.free.last().copied().unwrap_or(next)
    }

    /// Adds a record, or puts it in the place of an earlier version.
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

    /// Takes a record out.
    pub(super) fn remove(&mut self, id: &ImageId) {
        if let Some(slot) = self.slots.remove(id) {
            self.records.set(slot as usize, None);
            self.free.push_back(slot);
        }
    }
}
