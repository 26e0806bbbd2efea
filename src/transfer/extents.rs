//! The set of written byte ranges of a partial file.

/// A set of byte ranges `(begin, end)`, sorted, disjoint and not adjacent.
#[derive(Debug, Default)]
pub(super) struct Extents(Vec<(u64, u64)>);

impl Extents {
    /// Adds the bytes from `begin` up to `end`.
    pub(super) fn add(&mut self, begin: u64, end: u64) {
        // `first..last` are the ranges that overlap or touch the new one. They are merged with it.
        let first = self.0.partition_point(|(_, old_end)| *old_end < begin);
        let last = self.0.partition_point(|(old_begin, _)| *old_begin <= end);
        let touched = &self.0[first..last];
        let begin = touched.first().map_or(begin, |(old, _)| begin.min(*old));
        let end = touched.last().map_or(end, |(_, old)| end.max(*old));
        self.0.splice(first..last, [(begin, end)]);
    }

    /// Returns the end of the range that contains `position`, or `position` if none does.
    pub(super) fn end_of(&self, position: u64) -> u64 {
        let after = self.0.partition_point(|(begin, _)| *begin <= position);
        let before = after.checked_sub(1).map(|index| self.0[index].1);
        before.map_or(position, |end| end.max(position))
    }

    /// Returns the number of bytes in all ranges.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(begin, end)| end - begin).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn extents_agree_with_a_list_of_bytes(ranges in vec((0_u64..60, 1_u64..20), 0..20)) {
            let mut extents = Extents::default();
            let mut there = [false; 100];
            for (begin, len) in ranges {
                extents.add(begin, begin + len);
                there[begin as usize..(begin + len) as usize].fill(true);
            }
            for position in 0..there.len() {
                let end = there[position..].iter().position(|is| !is).unwrap_or(0);
                prop_assert_eq!(extents.end_of(position as u64), (position + end) as u64);
            }
            let count = there.iter().filter(|is| **is).count() as u64;
            prop_assert_eq!(extents.bytes(), count);
        }
    }
}
