//! The records themselves, by identifier and by number.

use std::sync::Arc;

use imbl::{HashMap, Vector};

use super::super::Record;
use crate::image::{Image, ImageId};

/// The number of an image in this process, from 0, in the order of arrival. It stays when the
/// record changes, so that whatever names an image by its slot stays too.
pub(super) type Slot = u32;

/// Every record. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Table {
    slots: HashMap<ImageId, Slot>,
    records: Vector<Arc<Record>>,
}

impl Table {
    /// How many slots are taken: those below.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn slot(&self, id: &ImageId) -> Option<Slot> {
        self.slots.get(id).copied()
    }

    pub(super) fn record(&self, slot: Slot) -> Option<&Arc<Record>> {
        self.records.get(slot as usize)
    }

    pub(super) fn image(&self, slot: Slot) -> Option<&Image> {
        self.record(slot).map(|record| &record.image)
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.iter()
    }

    /// Adds a record, or puts it in the place of an earlier version.
    pub(super) fn put(&mut self, record: Arc<Record>) {
        match self.slot(&record.image.id) {
            Some(slot) => drop(self.records.set(slot as usize, record)),
            None => {
                let slot = self.records.len() as Slot;
                self.slots.insert(record.image.id, slot);
                self.records.push_back(record);
            }
        }
    }
}
