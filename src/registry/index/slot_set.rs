//! Sets of slots as bit vectors.

use super::table::Slot;

const WORD_BITS: usize = u64::BITS as usize;

/// A set of slots, one bit per slot.
#[derive(Debug, Clone)]
pub(super) struct SlotSet {
    words: Vec<u64>,
}

impl SlotSet {
    /// Returns the empty set for a table of `slots` slots.
    pub(super) fn empty(slots: usize) -> Self {
        Self {
            words: vec![0; slots.div_ceil(WORD_BITS)],
        }
    }

    /// Returns the set of all `slots` slots.
    pub(super) fn all(slots: usize) -> Self {
        let mut words = vec![u64::MAX; slots.div_ceil(WORD_BITS)];
        if let Some(last) = words.last_mut() {
            *last >>= slots.next_multiple_of(WORD_BITS) - slots;
        }
        Self { words }
    }

    /// Adds slots. Consecutive slots of the same word are combined before the word is written.
    pub(super) fn extend(&mut self, slots: impl Iterator<Item = Slot>) {
        let (mut current, mut gathered) = (0, 0);
        for slot in slots {
            let (word, bit) = locate(slot);
            if word != current {
                self.add(current, gathered);
                (current, gathered) = (word, 0);
            }
            gathered |= bit;
        }
        self.add(current, gathered);
    }

    fn add(&mut self, word: usize, bits: u64) {
        if let Some(word) = self.words.get_mut(word) {
            *word |= bits;
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let (word, bit) = locate(slot);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = locate(slot);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Keeps the slots that are in both sets.
    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Removes the slots of the other set.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    pub(super) fn len(&self) -> usize {
        let ones = self.words.iter().map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// Returns the slots in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.words.iter().enumerate().flat_map(|(position, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let slot = (position * WORD_BITS) as Slot + rest.trailing_zeros();
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    slot
                })
            })
        })
    }
}

fn locate(slot: Slot) -> (usize, u64) {
    let slot = slot as usize;
    (slot / WORD_BITS, 1 << (slot % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_counted_combined_and_iterated() {
        for slots in [0, 1, 63, 64, 65, 200] {
            let mut set = SlotSet::all(slots);
            assert_eq!(set.len(), slots);
            assert!(set.iter().eq(0..slots as Slot));
            let mut threes = SlotSet::empty(slots);
            threes.extend((0..slots as Slot).rev().step_by(3));
            let is_three = |slot: &Slot| (slots as Slot - 1 - slot).is_multiple_of(3);
            let mut others = set.clone();
            others.subtract(&threes);
            assert!(!others.iter().any(|slot| is_three(&slot)));
            assert_eq!(others.len() + threes.len(), slots);
            set.intersect(&threes);
            set.remove(3);
            assert!(set.iter().eq(threes.iter().filter(|slot| *slot != 3)));
            assert!(set.iter().all(|slot| set.contains(slot)));
            assert!(!set.contains(slots as Slot));
        }
    }
}
