//! A sorted sequence that snapshots share.
//!
//! It consists of chunks of plain numbers in a persistent vector. So iteration reads arrays, and a
//! change copies one chunk of at most [`MAX_CHUNK_LEN`] items and the vector's path to it. The
//! caller defines the order: it tells for an item whether it comes before a position.

use std::ops::Range;
use std::sync::Arc;

use imbl::Vector;

/// Maximum number of items per chunk.
const MAX_CHUNK_LEN: usize = 512;

/// A chunk with fewer items is merged with its successor if both fit into one.
const MIN_CHUNK_LEN: usize = MAX_CHUNK_LEN / 4;

/// A sorted sequence. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Sequence<T> {
    /// No chunk is empty.
    chunks: Vector<Arc<[T]>>,
    len: usize,
}

/// A position before an item or at the end. Valid until the sequence changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    chunk: usize,
    offset: usize,
}

impl<T: Copy> Sequence<T> {
    /// Returns the sequence of items that are already sorted.
    pub(super) fn from_sorted(items: &[T]) -> Self {
        // Chunks are filled to three quarters, so that the first insertions do not split them.
        let chunks = items.chunks(MAX_CHUNK_LEN / 4 * 3);
        Self {
            chunks: chunks.map(Arc::from).collect(),
            len: items.len(),
        }
    }

    pub(super) fn start(&self) -> Position {
        Position {
            chunk: 0,
            offset: 0,
        }
    }

    pub(super) fn end(&self) -> Position {
        Position {
            chunk: self.chunks.len(),
            offset: 0,
        }
    }

    /// Returns the first position whose item is not `before`. Items that are `before` must precede
    /// all others.
    pub(super) fn position(&self, mut before: impl FnMut(&T) -> bool) -> Position {
        let (mut low, mut high) = (0, self.chunks.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.chunks[middle].last() {
                Some(last) if before(last) => low = middle + 1,
                _ => high = middle,
            }
        }
        let chunk = self.chunks.get(low);
        Position {
            chunk: low,
            offset: chunk.map_or(0, |items| items.partition_point(before)),
        }
    }

    /// Returns the items between two positions, as slices.
    pub(super) fn slices(&self, range: Range<Position>) -> impl DoubleEndedIterator<Item = &[T]> {
        let Range { start, end } = range;
        let last = end.chunk + usize::from(end.offset > 0);
        (start.chunk..last).filter_map(move |chunk| {
            let items = self.chunks.get(chunk)?;
            let from = if chunk == start.chunk {
                start.offset
            } else {
                0
            };
            let to = if chunk == end.chunk {
                end.offset
            } else {
                items.len()
            };
            items.get(from..to)
        })
    }

    /// Returns the number of items between two positions: exact within a chunk, otherwise estimated
    /// by the average length of chunks.
    pub(super) fn estimated_len(&self, range: &Range<Position>) -> usize {
        let Range { start, end } = *range;
        if start.chunk >= end.chunk {
            return end.offset.saturating_sub(start.offset);
        }
        let first = self.chunks.get(start.chunk).map_or(0, |items| items.len());
        let whole = end.chunk - start.chunk - 1;
        first - start.offset + whole * self.len / self.chunks.len() + end.offset
    }

    pub(super) fn insert(&mut self, position: Position, item: T) {
        self.len += 1;
        // An item behind all others goes to the last chunk.
        let (chunk, offset) = match self.chunks.last() {
            Some(last) if position.chunk == self.chunks.len() => (position.chunk - 1, last.len()),
            _ => (position.chunk, position.offset),
        };
        let Some(items) = self.chunks.get(chunk) else {
            self.chunks.push_back(Arc::from([item]));
            return;
        };
        if items.len() < MAX_CHUNK_LEN {
            let grown = [&items[..offset], &[item], &items[offset..]].concat();
            self.chunks.set(chunk, grown.into());
        } else if position.chunk == self.chunks.len() {
            self.chunks.push_back(Arc::from([item]));
        } else {
            self.split(chunk, offset, item);
        }
    }

    /// Removes the item at a position.
    pub(super) fn remove(&mut self, position: Position) {
        let Some(items) = self.chunks.get(position.chunk) else {
            return;
        };
        let (before, behind) = items.split_at(position.offset);
        let rest = [before, &behind[1..]].concat();
        self.len -= 1;
        let next = self.chunks.get(position.chunk + 1);
        let next = next
            .filter(|next| rest.len() < MIN_CHUNK_LEN && rest.len() + next.len() <= MAX_CHUNK_LEN);
        match next {
            Some(next) => {
                let merged = [&rest, &next[..]].concat();
                self.replace(position.chunk..position.chunk + 2, [merged]);
            }
            None if rest.is_empty() => self.replace(position.chunk..position.chunk + 1, []),
            None => drop(self.chunks.set(position.chunk, rest.into())),
        }
    }

    fn split(&mut self, chunk: usize, offset: usize, item: T) {
        let mut left = self.chunks[chunk].to_vec();
        left.insert(offset, item);
        let right = left.split_off(left.len() / 2);
        self.replace(chunk..chunk + 1, [left, right]);
    }

    /// Replaces chunks. Builds a new vector, which is expensive but rare: splitting and joining
    /// persistent vectors would make them less balanced each time.
    fn replace<const N: usize>(&mut self, chunks: Range<usize>, by: [Vec<T>; N]) {
        let before = self.chunks.iter().take(chunks.start).cloned();
        let behind = self.chunks.iter().skip(chunks.end).cloned();
        let by = by.into_iter().map(Arc::from);
        self.chunks = before.chain(by).chain(behind).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn items(sequence: &Sequence<u32>) -> Vec<u32> {
        let whole = sequence.start()..sequence.end();
        sequence.slices(whole).flatten().copied().collect()
    }

    fn item(sequence: &Sequence<u32>, position: Position) -> Option<&u32> {
        sequence.chunks.get(position.chunk)?.get(position.offset)
    }

    /// Enough numbers for chunks to split and merge.
    fn numbers() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0..10_000u32, 0..4 * MAX_CHUNK_LEN)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn changes_keep_the_order(at_first in numbers(), added in numbers(), removed in numbers()) {
            let mut plain = at_first;
            plain.sort_unstable();
            let mut sequence = Sequence::from_sorted(&plain);
            for item in added {
                let position = sequence.position(|other| *other < item);
                sequence.insert(position, item);
                plain.insert(plain.partition_point(|other| *other < item), item);
            }
            prop_assert_eq!(items(&sequence), plain.clone());
            let before = (sequence.clone(), plain.clone());
            for item in removed {
                let position = sequence.position(|other| *other < item);
                if self::item(&sequence, position) == Some(&item) {
                    sequence.remove(position);
                    plain.remove(plain.partition_point(|other| *other < item));
                }
            }
            prop_assert_eq!(items(&sequence), plain);
            prop_assert_eq!(items(&before.0), before.1, "an earlier snapshot does not change");
        }

        #[test]
        fn ranges_are_cut_and_counted(plain in numbers(), low in 0..10_000u32, width in 0..10_000u32) {
            let mut plain = plain;
            plain.sort_unstable();
            let sequence = Sequence::from_sorted(&plain);
            let range = sequence.position(|item| *item < low)..sequence.position(|item| *item < low + width);
            let got: Vec<u32> = sequence.slices(range.clone()).flatten().copied().collect();
            let backwards: Vec<u32> = sequence
                .slices(range.clone())
                .rev()
                .flat_map(|slice| slice.iter().rev().copied())
                .collect();
            let wanted = plain.iter().copied().filter(|item| (low..low + width).contains(item));
            prop_assert!(wanted.clone().eq(got.iter().copied()));
            prop_assert!(got.iter().rev().eq(backwards.iter()));
            prop_assert!(sequence.estimated_len(&range).abs_diff(got.len()) <= MAX_CHUNK_LEN);
        }
    }

    #[test]
    fn small_chunks_are_merged() {
        let all: Vec<u32> = (0..100_000).collect();
        let mut sequence = Sequence::from_sorted(&all);
        for item in all.iter().filter(|item| *item % 100 != 0) {
            let position = sequence.position(|other| other < item);
            sequence.remove(position);
        }
        assert_eq!(items(&sequence).len(), 1000);
        assert!(sequence.chunks.len() <= 1000 / MIN_CHUNK_LEN + 1);
    }
}
