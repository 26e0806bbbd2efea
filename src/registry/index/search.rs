//! How a page is found: three ways, each bounded.
//!
//! 1. When few images may meet the rarest condition, they are looked at one by one and sorted.
//! 2. Else the order is walked from the marker on. Where most images match, the page is soon
//!    full.
//! 3. Where it is not, a set of those that may match is made from the conditions. When it is
//!    small, they are looked at as in 1; else the order is walked again, past all that are not
//!    in the set without looking at their records.
//!
//! So no list looks at more than a few hundred records beside those it shows, whatever it
//! asks for, and the rest of its work is on arrays of numbers, a nanosecond or so an image.

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
use crate::image::{Image, Query, SortDirection};

/// Where one way of finding a page ends and another begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most records that are looked at and sorted rather than walking an order.
    pub(super) gathered: usize,
    /// Most records without a match that a walk looks at before a set is made.
    pub(super) misses: usize,
}

/// About as many cache misses as take the time to make a set of 100,000 slots.
pub(super) const BOUNDS: Bounds = Bounds {
    gathered: 256,
    misses: 256,
};

/// The marker of a list names nothing that the list could show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct UnknownMarker;

/// What a list has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Work {
    /// Records that were looked at, each likely a cache miss.
    pub(super) records: usize,
    /// Slots that were walked past or put into a set.
    pub(super) slots: usize,
}

/// One page of a list, and what it has cost.
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
    let mut search = Search {
        snapshot,
        query,
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
    marker: Option<&'a Image>,
    conditions: Vec<Condition<'a>>,
    bounds: Bounds,
    work: Work,
}

impl<'a> Search<'a> {
    fn page(&mut self) -> Vec<Arc<Record>> {
        if self.query.limit == 0 {
            return Vec::new();
        }
        let rarest = self.conditions.first();
        if let Some(rarest) = rarest.filter(|rarest| rarest.estimated_len() <= self.bounds.gathered)
        {
            return self.gather(rarest.slots());
        }
        if let Some(page) = self.walk(|_| true, self.bounds.misses) {
            return page;
        }
        let matching = self.matching();
        if matching.len() <= self.bounds.gathered {
            return self.gather(matching.iter().collect());
        }
        let page = self.walk(|slot| matching.contains(slot), usize::MAX);
        page.unwrap_or_default()
    }

    /// The slots that may match; more of them than that if they are few already.
    fn matching(&mut self) -> SlotSet {
        let slots = self.snapshot.table.len();
        let mut matching = SlotSet::all(slots);
        for condition in &self.conditions {
            self.work.slots += condition.narrow(&mut matching, slots);
            if matching.len() <= self.bounds.gathered {
                break;
            }
        }
        matching
    }

    /// The page out of these slots.
    fn gather(&mut self, slots: Vec<Slot>) -> Vec<Arc<Record>> {
        self.work.slots += slots.len();
        self.work.records += slots.len();
        let query = self.query;
        let is_behind = |image: &Image| {
            let order = self.marker.map(|marker| query.order(marker, image));
            order.is_none_or(|order| order.is_lt())
        };
        let records = slots
            .iter()
            .filter_map(|slot| self.snapshot.table.record(*slot));
        let mut page: Vec<_> = records
            .filter(|record| query.matches(&record.image) && is_behind(&record.image))
            .collect();
        page.sort_unstable_by(|a, b| query.order(&a.image, &b.image));
        page.into_iter().take(query.limit).cloned().collect()
    }

    /// The page by walking the order over the slots that are `wanted`; none when too many of
    /// them do not match.
    fn walk(
        &mut self,
        wanted: impl Fn(Slot) -> bool,
        most_misses: usize,
    ) -> Option<Vec<Arc<Record>>> {
        let order = self.snapshot.orders.by(self.query.sort_key);
        let slices = order.slices(self.walked_range());
        match self.query.sort_direction {
            SortDirection::Ascending => {
                self.walk_over(slices.map(|slice| slice.iter()), wanted, most_misses)
            }
            SortDirection::Descending => {
                let slices = slices.rev().map(|slice| slice.iter().rev());
                self.walk_over(slices, wanted, most_misses)
            }
        }
    }

    // Two plain loops, because this one runs over every image there is.
    fn walk_over<'b>(
        &mut self,
        slices: impl Iterator<Item = impl ExactSizeIterator<Item = &'b Slot>>,
        wanted: impl Fn(Slot) -> bool,
        most_misses: usize,
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
                    _ if misses == most_misses => return None,
                    _ => misses += 1,
                }
            }
        }
        Some(page)
    }

    /// Where in the order the page can be: behind the marker, and where a condition on the
    /// sort key itself holds.
    fn walked_range(&self) -> Range<Position> {
        let Snapshot { orders, table, .. } = self.snapshot;
        let key = self.query.sort_key;
        let order = orders.by(key);
        let mut range = order.start()..order.end();
        let position = |before: &dyn Fn(&Image) -> bool| orders::position(order, table, before);
        match (self.marker, self.query.sort_direction) {
            (None, _) => {}
            (Some(marker), SortDirection::Ascending) => {
                range.start = position(&|image| key.order(image, marker).is_le());
            }
            (Some(marker), SortDirection::Descending) => {
                range.end = position(&|image| key.order(image, marker).is_lt());
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
