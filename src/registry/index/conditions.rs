//! Translates a query into conditions that the index can evaluate.

use super::facets::{Attribute, Collection};
use super::slot_range::{Partition, SlotRange};
use super::slot_set::SlotSet;
use super::snapshot::Snapshot;
use super::table::Slot;
use crate::image::{Filter, Image, ListScope, Query, SortKey, Status};

/// One of several conditions that an image must meet. The index may let a few images pass that do
/// not meet it; the search checks the records themselves.
pub(super) struct Condition<'a> {
    /// The images that may meet it. An image can be in several ranges.
    candidates: Vec<SlotRange<'a>>,
    /// All other images, if they are known as ranges.
    non_matching: Option<Vec<SlotRange<'a>>>,
    /// The images of `non_matching` that may meet it nevertheless.
    exceptions: Vec<SlotRange<'a>>,
}

fn estimated_len(ranges: &[SlotRange<'_>]) -> usize {
    ranges.iter().map(SlotRange::estimated_len).sum()
}

fn collect(ranges: &[SlotRange<'_>], slots: usize) -> SlotSet {
    let mut set = SlotSet::empty(slots);
    for slot_range in ranges {
        slot_range.insert_into(&mut set);
    }
    set
}

impl<'a> Condition<'a> {
    fn holding(ranges: Vec<SlotRange<'a>>) -> Self {
        Self {
            candidates: ranges,
            non_matching: None,
            exceptions: Vec::new(),
        }
    }

    /// Returns the approximate number of images that may meet it; never too low if they are few.
    pub(super) fn estimated_len(&self) -> usize {
        estimated_len(&self.candidates)
    }

    /// Returns the images that may meet it if they are a single range.
    pub(super) fn as_single_range(&self) -> Option<&SlotRange<'a>> {
        match self.candidates.as_slice() {
            [slot_range] => Some(slot_range),
            _ => None,
        }
    }

    /// Returns the slots that may meet it in ascending order, each once.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        for slot_range in &self.candidates {
            slot_range.for_each(|slot| slots.push(slot));
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Removes from a set the images that do not meet the condition, using the smaller of the two
    /// parts. Returns the approximate number of slots that were visited.
    pub(super) fn narrow(&self, set: &mut SlotSet, slots: usize) -> usize {
        let cost = estimated_len(&self.candidates);
        let other_cost = self
            .non_matching
            .as_ref()
            .map(|non_matching| estimated_len(non_matching) + estimated_len(&self.exceptions));
        match (&self.non_matching, other_cost) {
            (Some(non_matching), Some(other_cost)) if other_cost < cost => {
                let mut failing = collect(non_matching, slots);
                for slot_range in &self.exceptions {
                    slot_range.for_each(|slot| failing.remove(slot));
                }
                set.subtract(&failing);
                other_cost
            }
            _ => {
                set.intersect(&collect(&self.candidates, slots));
                cost
            }
        }
    }
}

impl<'a> From<Partition<'a>> for Condition<'a> {
    fn from(split: Partition<'a>) -> Self {
        Self {
            candidates: split.matching,
            non_matching: Some(split.others),
            exceptions: Vec::new(),
        }
    }
}

/// Returns the conditions of a query, the most selective one first.
pub(super) fn conditions<'a>(snapshot: &'a Snapshot, query: &Query) -> Vec<Condition<'a>> {
    let mut conditions = vec![age(snapshot, query)];
    conditions.extend(scope(snapshot, query));
    conditions.extend(size(snapshot, query));
    let filters = query.filters.iter();
    conditions.extend(filters.filter_map(|filter| of_filter(snapshot, filter)));
    conditions.sort_by_cached_key(Condition::estimated_len);
    conditions
}

fn age<'a>(snapshot: &'a Snapshot, query: &Query) -> Condition<'a> {
    match query.changes_since {
        Some(since) => {
            let earlier = |image: &Image| image.updated_at <= since;
            let orders = &snapshot.orders;
            orders.split(SortKey::UpdatedAt, &snapshot.table, earlier, |_| false)
        }
        None => {
            let listed = Status::ALL.into_iter().filter(|status| status.is_listed());
            let words = listed.map(|status| Some(status.as_str()));
            snapshot.facets.split(Attribute::Status, words)
        }
    }
    .into()
}

fn scope<'a>(snapshot: &'a Snapshot, query: &Query) -> Option<Condition<'a>> {
    let publicity = |is_public| snapshot.facets.split(Attribute::IsPublic, [is_public]);
    match &query.scope {
        ListScope::All => None,
        ListScope::NotPublic => Some(publicity(false).into()),
        ListScope::Tenant(None) => Some(publicity(true).into()),
        ListScope::Tenant(Some(tenant)) => {
            let tenant = tenant.as_str();
            let own = snapshot
                .facets
                .split(Attribute::Owner, [Some(tenant)])
                .matching;
            let shared = snapshot.facets.holding(Collection::Members, tenant);
            let Partition { matching, others } = publicity(true);
            // Own and shared images may be public too. The sets may overlap, because they are only
            // merged and never counted exactly.
            let private: Vec<_> = own.into_iter().chain([shared]).collect();
            Some(Condition {
                candidates: matching.into_iter().chain(private.clone()).collect(),
                non_matching: Some(others),
                exceptions: private,
            })
        }
    }
}

/// Returns the range that all conditions on the size describe together.
fn size<'a>(snapshot: &'a Snapshot, query: &Query) -> Option<Condition<'a>> {
    let (mut least, mut most) = (0, u64::MAX);
    for filter in &query.filters {
        match filter {
            Filter::SizeMin(bytes) => least = least.max(*bytes),
            Filter::SizeMax(bytes) => most = most.min(*bytes),
            _ => {}
        }
    }
    let below = |image: &Image| image.size_bytes < least;
    let above = |image: &Image| image.size_bytes > most;
    let orders = &snapshot.orders;
    let split = || orders.split(SortKey::Size, &snapshot.table, below, above);
    ((least, most) != (0, u64::MAX)).then(|| split().into())
}

fn of_filter<'a>(snapshot: &'a Snapshot, filter: &Filter) -> Option<Condition<'a>> {
    let facets = &snapshot.facets;
    let words = |attribute, words: &[String]| {
        facets.split(attribute, words.iter().map(|word| Some(word.as_str())))
    };
    Some(match filter {
        // `size` combines all conditions on the size.
        Filter::SizeMin(_) | Filter::SizeMax(_) => return None,
        Filter::Id(ids) => {
            let ids = ids.iter().filter_map(|id| id.parse().ok());
            let slots = ids.filter_map(|id| snapshot.table.slot(&id));
            Condition::holding(slots.map(SlotRange::One).collect())
        }
        Filter::Name(names) => words(Attribute::Name, names).into(),
        Filter::Status(statuses) => words(Attribute::Status, statuses).into(),
        Filter::DiskFormat(formats) => words(Attribute::DiskFormat, formats).into(),
        Filter::ContainerFormat(formats) => words(Attribute::ContainerFormat, formats).into(),
        Filter::MinDisk(gb) => facets.split(Attribute::MinDisk, [*gb]).into(),
        Filter::MinRam(mb) => facets.split(Attribute::MinRam, [*mb]).into(),
        Filter::Protected(protected) => facets.split(Attribute::Protected, [*protected]).into(),
        Filter::Property(key, value) => {
            let pair = (key.as_str(), value.as_str());
            Condition::holding(vec![facets.holding(Collection::Properties, pair)])
        }
        Filter::Member(tenant) => {
            let shared = facets.holding(Collection::Members, tenant.as_str());
            Condition::holding(vec![shared])
        }
    })
}
