//! Items in an order, shared between snapshots.
//!
//! A tree of three floors whose leaves are arrays: walking is reading arrays, and a change
//! copies one leaf and the lists of pointers above it. (A persistent vector of leaves would be
//! less code, but imbl's grow ever deeper under inserts in the middle.) The order is the
//! caller's: it says, item by item, what comes before a place.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// Most bytes of a leaf: what the allocator keeps at hand for the next one.
const MOST_LEAF_BYTES: usize = 1024;

/// Most leaves of a branch.
const MOST_LEAVES: usize = 64;

/// Items in an order. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Sequence<T> {
    branches: Arc<Vec<Arc<Branch<T>>>>,
    len: usize,
}

/// Neighbouring leaves: at least one, and none is empty.
#[derive(Clone)]
struct Branch<T> {
    leaves: Vec<Arc<[T]>>,
}

/// A place before an item, or behind all. It is good until the sequence changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    branch: usize,
    leaf: usize,
    offset: usize,
}

impl<T: Copy> Sequence<T> {
    /// Most items of a leaf.
    const MOST: usize = MOST_LEAF_BYTES / size_of::<T>();

    /// A leaf with fewer items is put together with the next where both fit into one.
    const FEW: usize = Self::MOST / 4;

    /// From items that are in order already.
    pub(super) fn from_sorted(items: &[T]) -> Self {
        // Room is left everywhere for what comes between.
        let leaves = items.chunks(Self::MOST / 4 * 3).map(Arc::from);
        let leaves: Vec<Arc<[T]>> = leaves.collect();
        let branches = leaves.chunks(MOST_LEAVES / 4 * 3).map(|leaves| {
            let leaves = leaves.to_vec();
            Arc::new(Branch { leaves })
        });
        Self {
            branches: Arc::new(branches.collect()),
            len: items.len(),
        }
    }

    pub(super) fn start(&self) -> Place {
        Place {
            branch: 0,
            leaf: 0,
            offset: 0,
        }
    }

    pub(super) fn end(&self) -> Place {
        Place {
            branch: self.branches.len(),
            ..self.start()
        }
    }

    /// The first place whose item is not `before`. Items that are come before all others.
    pub(super) fn place(&self, mut before: impl FnMut(&T) -> bool) -> Place {
        let mut ends_before = |items: &Arc<[T]>| items.last().is_some_and(&mut before);
        let branch = self
            .branches
            .partition_point(|branch| branch.leaves.last().is_some_and(&mut ends_before));
        let Some(leaves) = self.branches.get(branch).map(|branch| &branch.leaves) else {
            return self.end();
        };
        let leaf = leaves.partition_point(&mut ends_before);
        let offset = leaves
            .get(leaf)
            .map_or(0, |items| items.partition_point(before));
        Place {
            branch,
            leaf,
            offset,
        }
    }

    /// The items between two places, in slices.
    pub(super) fn slices(&self, range: Range<Place>) -> impl DoubleEndedIterator<Item = &[T]> {
        let Range { start, end } = range;
        let numbers = start.branch..self.branches.len().min(end.branch + 1);
        let branches = self.branches.get(numbers.clone()).unwrap_or_default();
        numbers.zip(branches).flat_map(move |(number, branch)| {
            let leaves = branch.leaves.iter().enumerate();
            leaves.filter_map(move |(leaf, items)| {
                let from = start.offset_in(number, leaf, items.len());
                let to = end.offset_in(number, leaf, items.len());
                items.get(from..to).filter(|items| !items.is_empty())
            })
        })
    }

    /// How many items are between two places: exactly where they are near each other, else
    /// as many as branches have on average.
    pub(super) fn about(&self, range: &Range<Place>) -> usize {
        let Range { start, end } = range;
        if end.branch > start.branch + 1 {
            return (end.branch - start.branch) * self.len / self.branches.len();
        }
        self.slices(range.clone()).map(<[T]>::len).sum()
    }

    pub(super) fn insert(&mut self, place: Place, item: T) {
        let place = self.in_leaf(place);
        self.len += 1;
        let branches = Arc::make_mut(&mut self.branches);
        let Some(branch) = branches.get_mut(place.branch) else {
            let leaves = vec![Arc::from([item])];
            branches.push(Arc::new(Branch { leaves }));
            return;
        };
        let branch = Arc::make_mut(branch);
        branch.insert(place.leaf, place.offset, item, Self::MOST);
        if branch.leaves.len() > MOST_LEAVES {
            let leaves = branch.leaves.split_off(MOST_LEAVES / 2);
            branches.insert(place.branch + 1, Arc::new(Branch { leaves }));
        }
    }

    /// The place as one of a leaf, also when it is behind all items.
    fn in_leaf(&self, place: Place) -> Place {
        match self.branches.last().map(|branch| &branch.leaves) {
            Some(leaves) if place.branch == self.branches.len() => Place {
                branch: place.branch - 1,
                leaf: leaves.len() - 1,
                offset: leaves.last().map_or(0, |items| items.len()),
            },
            _ => place,
        }
    }

    /// Takes out the item behind a place.
    pub(super) fn remove(&mut self, place: Place) {
        let branches = Arc::make_mut(&mut self.branches);
        let Some(branch) = branches.get_mut(place.branch) else {
            return;
        };
        self.len -= 1;
        let branch = Arc::make_mut(branch);
        branch.remove(place.leaf, place.offset, Self::FEW, Self::MOST);
        if branch.leaves.is_empty() {
            branches.remove(place.branch);
        }
    }
}

impl<T: Copy> Branch<T> {
    fn insert(&mut self, leaf: usize, offset: usize, item: T, most: usize) {
        let (before, behind) = self.leaves[leaf].split_at(offset);
        if before.len() + behind.len() < most {
            self.leaves[leaf] = [before, &[item], behind].concat().into();
            return;
        }
        // Where everything comes behind, as times do, leaves stay full.
        let cut = if behind.is_empty() {
            before.len()
        } else {
            most / 2
        };
        let mut left = [before, &[item], behind].concat();
        let right = left.split_off(cut);
        self.leaves[leaf] = left.into();
        self.leaves.insert(leaf + 1, right.into());
    }

    fn remove(&mut self, leaf: usize, offset: usize, few: usize, most: usize) {
        let (before, behind) = self.leaves[leaf].split_at(offset);
        let mut rest = [before, &behind[1..]].concat();
        if let Some(next) = self.leaves.get(leaf + 1)
            && rest.len() < few
            && rest.len() + next.len() <= most
        {
            rest.extend_from_slice(next);
            self.leaves.remove(leaf + 1);
        }
        if rest.is_empty() {
            self.leaves.remove(leaf);
        } else {
            self.leaves[leaf] = rest.into();
        }
    }
}

impl Place {
    /// Where it cuts a leaf of so many items: all of those before it, none of those behind.
    fn offset_in(&self, branch: usize, leaf: usize, len: usize) -> usize {
        match (branch, leaf).cmp(&(self.branch, self.leaf)) {
            Ordering::Less => len,
            Ordering::Equal => self.offset,
            Ordering::Greater => 0,
        }
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

    fn item(sequence: &Sequence<u32>, place: Place) -> Option<&u32> {
        let branch = sequence.branches.get(place.branch)?;
        branch.leaves[place.leaf].get(place.offset)
    }

    /// As many as make leaves split and merge.
    fn numbers() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(0..10_000u32, 0..8 * Sequence::<u32>::MOST)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn stays_in_order(at_first in numbers(), added in numbers(), removed in numbers()) {
            let mut plain = at_first;
            plain.sort_unstable();
            let mut sequence = Sequence::from_sorted(&plain);
            for item in added {
                let place = sequence.place(|other| *other < item);
                sequence.insert(place, item);
                plain.insert(plain.partition_point(|other| *other < item), item);
            }
            prop_assert_eq!(items(&sequence), plain.clone());
            let before = (sequence.clone(), plain.clone());
            for item in removed {
                let place = sequence.place(|other| *other < item);
                if self::item(&sequence, place) == Some(&item) {
                    sequence.remove(place);
                    plain.remove(plain.partition_point(|other| *other < item));
                }
            }
            prop_assert_eq!(items(&sequence), plain);
            prop_assert_eq!(items(&before.0), before.1, "an earlier snapshot stays as it was");
        }

        #[test]
        fn ranges_are_cut_and_counted(plain in numbers(), low in 0..10_000u32, width in 0..10_000u32) {
            let mut plain = plain;
            plain.sort_unstable();
            let sequence = Sequence::from_sorted(&plain);
            let range = sequence.place(|item| *item < low)..sequence.place(|item| *item < low + width);
            let got: Vec<u32> = sequence.slices(range.clone()).flatten().copied().collect();
            let backwards: Vec<u32> = sequence
                .slices(range.clone())
                .rev()
                .flat_map(|slice| slice.iter().rev().copied())
                .collect();
            let wanted = plain.iter().copied().filter(|item| (low..low + width).contains(item));
            prop_assert!(wanted.clone().eq(got.iter().copied()));
            prop_assert!(got.iter().rev().eq(backwards.iter()));
            prop_assert_eq!(sequence.about(&range), got.len());
        }
    }

    fn height(sequence: &Sequence<u32>) -> (usize, usize) {
        let leaves = sequence.branches.iter().map(|branch| branch.leaves.len());
        (leaves.clone().sum(), leaves.len())
    }

    #[test]
    fn what_grows_is_cut_and_what_shrinks_is_put_together() {
        let mut sequence = Sequence::from_sorted(&[]);
        // From both ends and in the middle.
        for item in (0..100_000).map(|number: u64| (number * 48_271 % 100_003) as u32) {
            let place = sequence.place(|other| *other < item);
            sequence.insert(place, item);
        }
        assert!(items(&sequence).is_sorted() && items(&sequence).len() == 100_000);
        let (leaves, branches) = height(&sequence);
        assert!(
            leaves < 1000 && branches < 2 * leaves / MOST_LEAVES,
            "{leaves} {branches}"
        );
        for item in items(&sequence).iter().filter(|item| *item % 100 != 0) {
            let place = sequence.place(|other| other < item);
            sequence.remove(place);
        }
        assert!(items(&sequence).iter().all(|item| item % 100 == 0));
        let (leaves, _) = height(&sequence);
        assert!(leaves <= 1000 / Sequence::<u32>::FEW + branches, "{leaves}");
    }

    #[test]
    fn counts_of_much_are_about_right() {
        let sequence = Sequence::from_sorted(&(0..100_000).collect::<Vec<u32>>());
        for (low, high) in [(0, 100_000), (20_000, 60_000), (90_000, 90_100)] {
            let range = sequence.place(|item| *item < low)..sequence.place(|item| *item < high);
            let about = sequence.about(&range) as f64 / f64::from(high - low);
            assert!((0.7..1.3).contains(&about), "{low}..{high}: {about}");
        }
    }
}
