//! Sets of slots.

use super::table::Slot;

const WORD_BITS: usize = u64::BITS as usize;

/// A set of slots, one bit each.
#[derive(Debug, Clone)]
pub(super) struct SlotSet {
    words: Vec<u64>,
}

impl SlotSet {
    /// None of `slots` slots.
    pub(super) fn none(slots: usize) -> Self {
        Self {
            words: vec![0; slots.div_ceil(WORD_BITS)],
        }
    }

    /// All of `slots` slots.
    pub(super) fn all(slots: usize) -> Self {
        let mut words = vec![u64::MAX; slots.div_ceil(WORD_BITS)];
        if let Some(last) = words.last_mut() {
            *last >>= slots.next_multiple_of(WORD_BITS) - slots;
        }
        Self { words }
    }

    /// Adds slots. Those that ascend are gathered a word at a time.
    pub(super) fn extend(&mut self, slots: impl Iterator<Item = Slot>) {
        let (mut current, mut gathered) = (0, 0);
        for slot in slots {
            let (word, bit) = place_of(slot);
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
        let (word, bit) = place_of(slot);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    pub(super) fn contains(&self, slot: Slot) -> bool {
        let (word, bit) = place_of(slot);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Keeps what is in both.
    pub(super) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Keeps what is not in the other.
    pub(super) fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    pub(super) fn len(&self) -> usize {
        let ones = self.words.iter().map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// The slots in the set, ascending.
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

fn place_of(slot: Slot) -> (usize, u64) {
    let slot = slot as usize;
    (slot / WORD_BITS, 1 << (slot % WORD_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_counted_joined_and_walked() {
        for slots in [0, 1, 63, 64, 65, 200] {
            let mut set = SlotSet::all(slots);
            assert_eq!(set.len(), slots);
            assert!(set.iter().eq(0..slots as Slot));
            let mut threes = SlotSet::none(slots);
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
