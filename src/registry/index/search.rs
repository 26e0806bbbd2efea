//! Finds one page of a list.
//!
//! A list by a single sort key is found in one of three ways, each with bounded work:
//! 1. If few images can meet the most selective condition, all of them are examined and sorted.
//! 2. Otherwise the sort order is walked from the marker on. Where most images match, the page is
//!    soon full.
//! 3. If the walk misses too often, the conditions are intersected to a set of candidates. A small
//!    set is examined as in 1; for a larger one the order is walked again, and images outside the
//!    set are skipped without reading their records.
//!
//! So such a list reads at most a few hundred records beside those it returns. The rest of its
//! work is on arrays of numbers, about one nanosecond per image.
//!
//! A list by several sort keys walks the order of the first key and sorts each group of images
//! that are equal by it. It reads the candidates of every group that the page touches.

use std::ops::Range;
use std::sync::Arc;

use super::super::Record;
use super::conditions::{Condition, conditions};
use super::orders;
use super::sequence::Position;
use super::slot_range::SlotRange;
use super::slot_set::SlotSet;
use super::snapshot::Snapshot;
use super::table::Slot;
use crate::image::{Image, Query, SortDirection, SortKey};

/// The limits at which the search changes from one strategy to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Maximum number of records that are examined and sorted instead of walking an order.
    pub(super) gathered: usize,
    /// Maximum number of records without a match that a walk reads before candidates are
    /// computed.
    pub(super) misses: usize,
}

/// About as many cache misses as take the time to compute a set of 100,000 slots.
pub(super) const BOUNDS: Bounds = Bounds {
    gathered: 256,
    misses: 256,
};

/// The marker of a list names no image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct UnknownMarker;

/// The cost of one search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Records that were read, each likely a cache miss.
    pub(super) records: usize,
    /// Slots that were skipped or put into a set.
    pub(super) slots: usize,
}

/// Returns one page of a list and the cost of finding it.
///
/// # Errors
/// [`UnknownMarker`].
pub(super) fn page(
    snapshot: &Snapshot,
    query: &Query,
    bounds: Bounds,
) -> Result<(Vec<Arc<Record>>, Work), UnknownMarker> {
    let marker = match &query.marker {
        Some(id) => Some(&snapshot.get(id).ok_or(UnknownMarker)?.image),
        None => None,
    };
    let first = query.sort_keys.first().copied();
    let (key, direction) = first.unwrap_or((SortKey::CreatedAt, SortDirection::Ascending));
    let mut search = Search {
        snapshot,
        query,
        key,
        direction,
        marker,
        conditions: conditions(snapshot, query),
        bounds,
        work: Work::default(),
    };
    Ok((search.page(), search.work))
}

struct Search<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    /// The first sort key, whose order is walked, and its direction.
    key: SortKey,
    direction: SortDirection,
    marker: Option<&'a Image>,
    conditions: Vec<Condition<'a>>,
    bounds: Bounds,
    work: Work,
}

impl Search<'_> {
    fn page(&mut self) -> Vec<Arc<Record>> {
        if self.query.limit == 0 {
            return Vec::new();
        }
        let rarest = self.conditions.first();
        let bound = self.bounds.gathered;
        if let Some(rarest) = rarest.filter(|rarest| rarest.estimated_len() <= bound) {
            return self.gather(rarest.slots());
        }
        let has_several_keys = self.query.sort_keys.len() > 1;
        if !has_several_keys && let Some(page) = self.walk(|_| true, self.bounds.misses) {
            return page;
        }
        let candidates = self.candidates();
        if candidates.len() <= self.bounds.gathered {
            return self.gather(candidates.iter().collect());
        }
        if has_several_keys {
            return self.walk_groups(&candidates);
        }
        let page = self.walk(|slot| candidates.contains(slot), usize::MAX);
        page.unwrap_or_default()
    }

    /// Returns the slots that may match. Stops early, with a larger set, once the set is small
    /// enough to be gathered.
    fn candidates(&mut self) -> SlotSet {
        let slots = self.snapshot.table.len();
        let mut candidates = SlotSet::all(slots);
        for condition in &self.conditions {
            self.work.slots += condition.narrow(&mut candidates, slots);
            if candidates.len() <= self.bounds.gathered {
                break;
            }
        }
        candidates
    }

    fn is_behind_marker(&self, image: &Image) -> bool {
        let order = self.marker.map(|marker| self.query.order(marker, image));
        order.is_none_or(std::cmp::Ordering::is_lt)
    }

    /// Examines these slots, sorts the matches and returns the page.
    fn gather(&mut self, slots: Vec<Slot>) -> Vec<Arc<Record>> {
        self.work.slots += slots.len();
        self.work.records += slots.len();
        let query = self.query;
        let records = slots
            .iter()
            .filter_map(|slot| self.snapshot.table.record(*slot));
        let mut page: Vec<_> = records
            .filter(|record| query.matches(&record.image) && self.is_behind_marker(&record.image))
            .collect();
        page.sort_unstable_by(|a, b| query.order(&a.image, &b.image));
        page.into_iter().take(query.limit).cloned().collect()
    }

    /// Walks the order over the slots that are `wanted`. Returns `None` if more than
    /// `max_misses` of them do not match.
    fn walk(
        &mut self,
        wanted: impl Fn(Slot) -> bool,
        max_misses: usize,
    ) -> Option<Vec<Arc<Record>>> {
        let order = self.snapshot.orders.by(self.key);
        let key = self.key;
        let slices = order.slices(self.walked_range(|a, b| key.order(a, b)));
        match self.direction {
            SortDirection::Ascending => {
                self.walk_over(slices.map(|slice| slice.iter()), wanted, max_misses)
            }
            SortDirection::Descending => {
                let slices = slices.rev().map(|slice| slice.iter().rev());
                self.walk_over(slices, wanted, max_misses)
            }
        }
    }

    // Two nested loops instead of one flattened iterator, because this may visit every image.
    fn walk_over<'b>(
        &mut self,
        slices: impl Iterator<Item = impl ExactSizeIterator<Item = &'b Slot>>,
        wanted: impl Fn(Slot) -> bool,
        max_misses: usize,
    ) -> Option<Vec<Arc<Record>>> {
        let mut page = Vec::new();
        let mut misses = 0;
        for slice in slices {
            self.work.slots += slice.len();
            for slot in slice.copied().filter(|slot| wanted(*slot)) {
                self.work.records += 1;
                match self.snapshot.table.record(slot) {
                    Some(record) if self.query.matches(&record.image) => {
                        page.push(Arc::clone(record));
                        if page.len() == self.query.limit {
                            return Some(page);
                        }
                    }
                    _ if misses == max_misses => return None,
                    _ => misses += 1,
                }
            }
        }
        Some(page)
    }

    /// Walks the order of the first key and sorts each group of equal values by all keys.
    fn walk_groups(&mut self, candidates: &SlotSet) -> Vec<Arc<Record>> {
        let order = self.snapshot.orders.by(self.key);
        let key = self.key;
        // The whole group of the marker belongs to the range: the keys behind the first one
        // decide which of its images follow the marker.
        let range = self.walked_range(|a, b| key.value(a).cmp(&key.value(b)));
        let slots = order.slices(range).flatten().copied();
        match self.direction {
            SortDirection::Ascending => self.collect_groups(slots, candidates),
            SortDirection::Descending => self.collect_groups(slots.rev(), candidates),
        }
    }

    fn collect_groups(
        &mut self,
        slots: impl Iterator<Item = Slot>,
        candidates: &SlotSet,
    ) -> Vec<Arc<Record>> {
        let key = self.key;
        let mut page: Vec<Arc<Record>> = Vec::new();
        let mut group: Vec<&Arc<Record>> = Vec::new();
        let snapshot = self.snapshot;
        for slot in slots {
            self.work.slots += 1;
            if !candidates.contains(slot) {
                continue;
            }
            let Some(record) = snapshot.table.record(slot) else {
                continue;
            };
            self.work.records += 1;
            let is_same_group = group
                .first()
                .is_none_or(|first| key.value(&first.image) == key.value(&record.image));
            if !is_same_group {
                self.append_group(&mut page, &mut group);
                if page.len() == self.query.limit {
                    return page;
                }
            }
            if self.query.matches(&record.image) && self.is_behind_marker(&record.image) {
                group.push(record);
            }
        }
        self.append_group(&mut page, &mut group);
        page
    }

    /// Moves the first images of a group to the page, as many as it still takes.
    fn append_group(&self, page: &mut Vec<Arc<Record>>, group: &mut Vec<&Arc<Record>>) {
        let query = self.query;
        let missing = query.limit - page.len();
        if missing < group.len() {
            // A group may have every image; only those that are returned are sorted.
            group.select_nth_unstable_by(missing, |a, b| query.order(&a.image, &b.image));
            group.truncate(missing);
        }
        group.sort_unstable_by(|a, b| query.order(&a.image, &b.image));
        page.extend(group.drain(..).cloned());
    }

    /// Returns the part of the order in which the page can be: behind the marker as `compare`
    /// orders images, and within a condition on the sort key itself.
    fn walked_range(
        &self,
        compare: impl Fn(&Image, &Image) -> std::cmp::Ordering,
    ) -> Range<Position> {
        let Snapshot { orders, table, .. } = self.snapshot;
        let order = orders.by(self.key);
        let mut range = order.start()..order.end();
        let position = |before: &dyn Fn(&Image) -> bool| orders::position(order, table, before);
        let is_exact = self.query.sort_keys.len() <= 1;
        if let Some(marker) = self.marker {
            match (self.direction, is_exact) {
                (SortDirection::Ascending, true) => {
                    range.start = position(&|image| compare(image, marker).is_le());
                }
                (SortDirection::Ascending, false) => {
                    range.start = position(&|image| compare(image, marker).is_lt());
                }
                (SortDirection::Descending, true) => {
                    range.end = position(&|image| compare(image, marker).is_lt());
                }
                (SortDirection::Descending, false) => {
                    range.end = position(&|image| compare(image, marker).is_le());
                }
            }
        }
        for condition in &self.conditions {
            if let Some(SlotRange::Order(of, part)) = condition.as_single_range()
                && std::ptr::eq(*of, order)
            {
                range = range.start.max(part.start)..range.end.min(part.end);
            }
        }
        range
    }
}
