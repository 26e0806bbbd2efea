//! Images that stand next to each other somewhere in the index.

use std::ops::Range;

use super::bits::Bits;
use super::sequence::{Place, Sequence};
use super::table::Slot;

/// A slot under a value: the value's term in the upper half, the slot in the lower.
pub(super) type Posting = u64;

/// Images with something in common.
#[derive(Clone)]
pub(super) enum Run<'a> {
    /// They have a value.
    Posted(&'a Sequence<Posting>, Range<Place>),
    /// They have neighbouring places in an order.
    Ordered(&'a Sequence<Slot>, Range<Place>),
    /// One image alone.
    One(Slot),
}

/// All images, in two: those that have a value, and those that have not. A few may stand on
/// both sides, where different values look alike.
pub(super) struct Split<'a> {
    pub(super) with: Vec<Run<'a>>,
    pub(super) without: Vec<Run<'a>>,
}

impl Run<'_> {
    /// About how many they are; exactly, when they are few.
    pub(super) fn about(&self) -> usize {
        match self {
            Run::Posted(postings, range) => postings.about(range),
            Run::Ordered(order, range) => order.about(range),
            Run::One(_) => 1,
        }
    }

    pub(super) fn insert_into(&self, bits: &mut Bits) {
        match self {
            Run::Posted(postings, range) => {
                for slice in postings.slices(range.clone()) {
                    bits.extend(slice.iter().map(|posting| *posting as Slot));
                }
            }
            Run::Ordered(order, range) => {
                for slice in order.slices(range.clone()) {
                    bits.extend(slice.iter().copied());
                }
            }
            Run::One(slot) => bits.extend([*slot].into_iter()),
        }
    }

    pub(super) fn for_each(&self, mut each: impl FnMut(Slot)) {
        match self {
            Run::Posted(postings, range) => {
                let slices = postings.slices(range.clone());
                slices.flatten().for_each(|posting| each(*posting as Slot));
            }
            Run::Ordered(order, range) => {
                let slices = order.slices(range.clone());
                slices.flatten().for_each(|slot| each(*slot));
            }
            Run::One(slot) => each(*slot),
        }
    }
}
