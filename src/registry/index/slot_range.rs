//! Sets of images that are stored next to each other in the index.

use std::ops::Range;

use super::sequence::{Position, Sequence};
use super::slot_set::SlotSet;
use super::table::Slot;

/// An entry of the inverted index: a value's term in the upper half, a slot in the lower half.
pub(super) type Posting = u64;

/// Images with a common property.
#[derive(Clone)]
pub(super) enum SlotRange<'a> {
    /// The images with a value of an attribute.
    Postings(&'a Sequence<Posting>, Range<Position>),
    /// A range of a sort order.
    Order(&'a Sequence<Slot>, Range<Position>),
    /// One image.
    One(Slot),
}

/// All images in two parts: those that match a value and the others. A few images may be in both,
/// because different values can have the same hash.
pub(super) struct Partition<'a> {
    pub(super) matching: Vec<SlotRange<'a>>,
    pub(super) others: Vec<SlotRange<'a>>,
}

impl SlotRange<'_> {
    /// Returns the approximate number of images; exact if they are few.
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
