//! A query as conditions that the index can answer.

use super::bits::Bits;
use super::facets::{Attribute, Collection};
use super::run::{Run, Split};
use super::snapshot::Snapshot;
use super::table::Slot;
use crate::image::{Filter, Image, ListScope, Query, SortKey, Status};

/// One of several conditions that an image must meet. The index is a little generous: some
/// that it lets through do not meet it, and the records themselves decide.
pub(super) struct Condition<'a> {
    /// Those that may meet it; one image can be there twice.
    meet: Vec<Run<'a>>,
    /// Those that do not, all others: where they can be told.
    fail: Option<Vec<Run<'a>>>,
    /// Those of `fail` that may meet it after all.
    except: Vec<Run<'a>>,
}

fn about(runs: &[Run<'_>]) -> usize {
    runs.iter().map(Run::about).sum()
}

fn set(runs: &[Run<'_>], slots: usize) -> Bits {
    let mut set = Bits::none(slots);
    for run in runs {
        run.insert_into(&mut set);
    }
    set
}

impl<'a> Condition<'a> {
    fn holding(runs: Vec<Run<'a>>) -> Self {
        Self {
            meet: runs,
            fail: None,
            except: Vec::new(),
        }
    }

    /// About how many images may meet it, and at least as many as do when they are few.
    pub(super) fn about(&self) -> usize {
        about(&self.meet)
    }

    /// Those that may meet it, if they are neighbours in one order.
    pub(super) fn neighbours(&self) -> Option<&Run<'a>> {
        match self.meet.as_slice() {
            [run] => Some(run),
            _ => None,
        }
    }

    /// Those that may meet it, ascending, each once.
    pub(super) fn slots(&self) -> Vec<Slot> {
        let mut slots = Vec::new();
        for run in &self.meet {
            run.for_each(|slot| slots.push(slot));
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// Leaves in a set what may meet the condition, by whichever of the two sides is smaller.
    /// Returns about how many slots that took.
    pub(super) fn narrow(&self, bits: &mut Bits, slots: usize) -> usize {
        let cost = about(&self.meet);
        let other_cost = self
            .fail
            .as_ref()
            .map(|fail| about(fail) + about(&self.except));
        match (&self.fail, other_cost) {
            (Some(fail), Some(other_cost)) if other_cost < cost => {
                let mut failing = set(fail, slots);
                for run in &self.except {
                    run.for_each(|slot| failing.remove(slot));
                }
                bits.keep_without(&failing);
                other_cost
            }
            _ => {
                bits.keep(&set(&self.meet, slots));
                cost
            }
        }
    }
}

impl<'a> From<Split<'a>> for Condition<'a> {
    fn from(split: Split<'a>) -> Self {
        Self {
            meet: split.with,
            fail: Some(split.without),
            except: Vec::new(),
        }
    }
}

/// The conditions of a query, those first that fewest images meet.
pub(super) fn conditions<'a>(snapshot: &'a Snapshot, query: &Query) -> Vec<Condition<'a>> {
    let mut conditions = vec![age(snapshot, query)];
    conditions.extend(scope(snapshot, query));
    conditions.extend(size(snapshot, query));
    let filters = query.filters.iter();
    conditions.extend(filters.filter_map(|filter| of_filter(snapshot, filter)));
    conditions.sort_by_cached_key(Condition::about);
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
            let own = snapshot.facets.split(Attribute::Owner, [Some(tenant)]).with;
            let shared = snapshot.facets.holding(Collection::Members, tenant);
            let Split { with, without } = publicity(true);
            let private: Vec<_> = own.into_iter().chain([shared]).collect();
            Some(Condition {
                meet: with.into_iter().chain(private.clone()).collect(),
                fail: Some(without),
                except: private,
            })
        }
    }
}

/// All conditions on the size are one range.
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
        // The size is one condition, however much is said about it.
        Filter::SizeMin(_) | Filter::SizeMax(_) => return None,
        Filter::Id(ids) => {
            let ids = ids.iter().filter_map(|id| id.parse().ok());
            let slots = ids.filter_map(|id| snapshot.table.slot(&id));
            Condition::holding(slots.map(Run::One).collect())
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
