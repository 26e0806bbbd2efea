//! Images that stand next to each other somewhere in the index.

use std::ops::Range;

use super::sequence::{Position, Sequence};
use super::slot_set::SlotSet;
use super::table::Slot;

/// A slot under a value: the value's term in the upper half, the slot in the lower.
pub(super) type Posting = u64;

/// Images with something in common.
#[derive(Clone)]
pub(super) enum SlotRange<'a> {
    /// They have a value.
    Postings(&'a Sequence<Posting>, Range<Position>),
    /// They have neighbouring places in an order.
    Order(&'a Sequence<Slot>, Range<Position>),
    /// One image alone.
    One(Slot),
}

/// All images, in two: those that have a value, and those that have not. A few may stand on
/// both sides, where different values look alike.
pub(super) struct Partition<'a> {
    pub(super) matching: Vec<SlotRange<'a>>,
    pub(super) others: Vec<SlotRange<'a>>,
}

impl SlotRange<'_> {
    /// About how many they are; exactly, when they are few.
    pub(super) fn estimated_len(&self) -> usize {
        match self {
            SlotRange::Postings(postings, range) => postings.estimated_len(range),
            SlotRange::Order(order, range) => order.estimated_len(range),
            SlotRange::One(_) => 1,
        }
    }

    pub(super) fn insert_into(&self, set: &mut SlotSet) {
        match self {
            SlotRange::Postings(postings, range) => {
                for slice in postings.slices(range.clone()) {
                    set.extend(slice.iter().map(|posting| *posting as Slot));
                }
            }
            SlotRange::Order(order, range) => {
                for slice in order.slices(range.clone()) {
                    set.extend(slice.iter().copied());
                }
            }
            SlotRange::One(slot) => set.extend([*slot].into_iter()),
        }
    }

    pub(super) fn for_each(&self, mut each: impl FnMut(Slot)) {
        match self {
            SlotRange::Postings(postings, range) => {
                let slices = postings.slices(range.clone());
                slices.flatten().for_each(|posting| each(*posting as Slot));
            }
            SlotRange::Order(order, range) => {
                let slices = order.slices(range.clone());
                slices.flatten().for_each(|slot| each(*slot));
            }
            SlotRange::One(slot) => each(*slot),
        }
    }
}
