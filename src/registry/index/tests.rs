//! Compares the index with a reference implementation that filters and sorts all images.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::Record;
use super::search::{self, Bounds};
use super::{Index, Snapshot, UnknownMarker};
use crate::image::{
    Filter, Image, ImageId, ListScope, Member, Query, SortDirection, SortKey, Status, Timestamp,
    Visibility,
};

fn text(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn image() -> impl Strategy<Value = Image> {
    let word = || prop::option::of(text(&["a", "b", "c"]));
    let tenants = prop::collection::btree_set(text(&["a", "b", "c", "d"]), 0..3);
    let properties = prop::collection::btree_map(text(&["p", "q"]), word(), 0..3);
    (
        (word(), word(), word(), word()),
        prop::sample::select(Status::ALL.to_vec()),
        (0..4u64, 0..4i64, 0..4i64, 0..3u32, 0..3u32),
        (
            prop::sample::select(Visibility::ALL.to_vec()),
            any::<bool>(),
        ),
        (tenants, properties),
    )
        .prop_map(|(texts, status, numbers, flags, (tenants, properties))| {
            let created_at = Timestamp::from_micros(numbers.1);
            let mut image = Image::queued(ImageId::random(), created_at);
            (
                image.name,
                image.owner,
                image.disk_format,
                image.container_format,
            ) = texts;
            image.status = status;
            image.size_bytes = numbers.0;
            image.updated_at = Timestamp::from_micros(numbers.2);
            (image.min_disk_gb, image.min_ram_mb) = (numbers.3, numbers.4);
            (image.visibility, image.protected) = flags;
            let can_share = flags.1;
            let member = |id| Member::new(id, can_share, created_at);
            image.members = tenants.into_iter().map(member).collect();
            image.properties.extend(properties);
            image
        })
}

fn filter() -> impl Strategy<Value = Filter> {
    let word = || text(&["a", "b", "z"]);
    let words = || prop::collection::vec(word(), 0..3);
    let statuses = prop::sample::subsequence(Status::ALL.to_vec(), 1..4);
    let status_words = |statuses: Vec<Status>| {
        let words = statuses
            .into_iter()
            .map(|status| status.as_str().to_owned());
        Filter::Status(words.collect())
    };
    prop_oneof![
        words().prop_map(Filter::Name),
        words().prop_map(Filter::DiskFormat),
        words().prop_map(Filter::ContainerFormat),
        statuses.prop_map(status_words),
        (0..5u64).prop_map(Filter::SizeMin),
        (0..5u64).prop_map(Filter::SizeMax),
        (0..4u64).prop_map(Filter::MinDisk),
        (0..4u64).prop_map(Filter::MinRam),
        any::<bool>().prop_map(Filter::Protected),
        (text(&["p", "q"]), word()).prop_map(|(key, value)| Filter::Property(key, value)),
        word().prop_map(Filter::Member),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let scope = prop_oneof![
        Just(ListScope::All),
        Just(ListScope::NotPublic),
        prop::option::of(text(&["a", "c", "z"])).prop_map(ListScope::Tenant),
    ];
    let direction = prop::sample::select(vec![SortDirection::Ascending, SortDirection::Descending]);
    let sort_key = (prop::sample::select(SortKey::ALL.to_vec()), direction);
    (
        scope,
        prop::collection::vec(filter(), 0..3),
        prop::option::of((0..4i64).prop_map(Timestamp::from_micros)),
        prop::collection::vec(sort_key, 0..4),
        0..12usize,
    )
        .prop_map(|(scope, filters, changes_since, sort_keys, limit)| Query {
            scope,
            filters,
            changes_since,
            sort_keys,
            marker: None,
            limit,
        })
}

/// Returns the expected list, computed without an index.
fn plain_list(images: &[Image], query: &Query) -> Vec<ImageId> {
    let mut sorted: Vec<&Image> = images.iter().collect();
    sorted.sort_by(|a, b| query.order(a, b));
    let behind = match query.marker {
        Some(marker) => 1 + sorted.iter().position(|image| image.id == marker).unwrap(),
        None => 0,
    };
    let matching = sorted[behind..].iter().filter(|image| query.matches(image));
    matching.take(query.limit).map(|image| image.id).collect()
}

fn ids(snapshot: &Snapshot, query: &Query, bounds: Bounds) -> Vec<ImageId> {
    let (page, _) = search::page(snapshot, query, bounds).unwrap();
    page.iter().map(|record| record.image.id).collect()
}

fn record(image: &Image, version: u64) -> Arc<Record> {
    Arc::new(Record::new(image.clone(), version))
}

/// Bounds that make every strategy occur, even with few images.
fn bounds() -> impl Strategy<Value = Bounds> {
    let some = || prop::sample::select(vec![0, 3, 1000]);
    (some(), some()).prop_map(|(gathered, misses)| Bounds { gathered, misses })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn lists_equal_those_of_the_reference_implementation(
        (at_open, added) in (0..30usize, 0..30usize),
        before in prop::collection::vec(image(), 60),
        after in prop::collection::vec(image(), 0..40),
        query in query(),
        bounds in bounds(),
        marker in any::<prop::sample::Index>(),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let mut images = before;
        images.truncate(at_open + added);
        let mut snapshot = Snapshot::of(images[..at_open].iter().map(|image| record(image, 1)));
        for image in &images[at_open..] {
            snapshot.put(record(image, 1));
        }
        // The first images change into others; the rest stay.
        let earlier = (snapshot.clone(), images.clone());
        for (image, new) in images.iter_mut().zip(after) {
            *image = Image { id: image.id, ..new };
            snapshot.put(record(image, 2));
        }
        // Some are removed, and one of them is added again, in a free slot.
        let changed = (snapshot.clone(), images.clone());
        let mut last_removed = None;
        for position in removed {
            if !images.is_empty() {
                let image = images.remove(position.index(images.len()));
                snapshot.remove(&image.id);
                last_removed = Some(image);
            }
        }
        if let Some(image) = last_removed {
            snapshot.put(record(&image, 1));
            images.push(image);
        }
        let stats: usize = snapshot.stats.by_status().map(|(_, count)| count).sum();
        prop_assert_eq!(stats, images.len());
        for (snapshot, images) in [(snapshot, images), changed, earlier] {
            prop_assert_eq!(ids(&snapshot, &query, bounds), plain_list(&images, &query));
            if !images.is_empty() {
                let query = Query { marker: Some(marker.get(&images).id), ..query.clone() };
                prop_assert_eq!(ids(&snapshot, &query, bounds), plain_list(&images, &query));
                let wanted = [marker.get(&images).id.to_string(), "x".to_owned()];
                let query = Query { filters: vec![Filter::Id(wanted.to_vec())], ..query };
                prop_assert_eq!(ids(&snapshot, &query, bounds), plain_list(&images, &query));
            }
        }
    }
}

#[test]
fn unknown_marker_is_an_error() {
    let index = Index::new(Snapshot::of([]));
    let query = Query {
        scope: ListScope::All,
        filters: Vec::new(),
        changes_since: None,
        sort_keys: vec![(SortKey::CreatedAt, SortDirection::Descending)],
        marker: Some(ImageId::random()),
        limit: 1,
    };
    assert_eq!(index.list(&query).err(), Some(UnknownMarker));
}

/// Images of a large registry.
const MANY: u32 = 20_000;

/// An image of a large registry; its number decides its fields.
fn numbered(number: u32) -> Image {
    let created_at = Timestamp::from_micros(number.into());
    let mut image = Image::queued(ImageId::random(), created_at);
    let half = if number < MANY / 2 { "early" } else { "late" };
    // Rare values come last in most orders.
    let is_late = number >= MANY - 30;
    image.name = Some(format!("image-{:05}", number * 7919 % MANY));
    image.status = [Status::Active, Status::Deleted, Status::Killed][number as usize % 3];
    image.size_bytes = u64::from(number) * 104_729 % 1_000_003;
    image.disk_format = Some(if is_late { "vhdx" } else { "raw" }.to_owned());
    image.container_format = Some(if is_late { "ova" } else { "bare" }.to_owned());
    image.visibility = Visibility::default().with_is_public(number.is_multiple_of(2));
    image.protected = number % 1000 == 999;
    image.owner = Some(format!("tenant-{}", number % 7));
    image.min_ram_mb = if number < MANY / 2 { 512 } else { 0 };
    image.min_disk_gb = if number % 5000 == 4999 { 500 } else { 0 };
    let mut property = |key: String, value| image.properties.insert(key, Some(value));
    property("half".to_owned(), half.to_owned());
    property("number".to_owned(), number.to_string());
    // As many on every image as would fill a sketch of a few words.
    for key in 0..20 {
        property(format!("key-{key}"), (number % (key + 2)).to_string());
    }
    let created_at = image.created_at;
    image.members.extend((0..3).map(|offset| {
        let partner = format!("partner-{}", (number + offset) % 997);
        Member::new(partner, false, created_at)
    }));
    image
}

/// Filters of a large registry, dense and sparse, alone and together.
fn filters() -> Vec<Vec<Filter>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let property = |key: &str, value: &str| Filter::Property(key.to_owned(), value.to_owned());
    vec![
        vec![],
        vec![Filter::Id(words(&["71c675ab-d94f-49cd-a114-e12490b328d9"]))],
        vec![Filter::Name(words(&["image-19999"]))],
        vec![Filter::Name(words(&["image-00007", "image-19999", "none"]))],
        vec![Filter::Status(words(&["active"]))],
        vec![Filter::Status(words(&["saving"]))],
        vec![Filter::DiskFormat(words(&["vhdx"]))],
        vec![Filter::DiskFormat(words(&["raw", "qcow2"]))],
        vec![Filter::ContainerFormat(words(&["ova"]))],
        vec![Filter::MinRam(512)],
        vec![Filter::MinDisk(500)],
        vec![Filter::Protected(true)],
        vec![Filter::SizeMin(999_000)],
        vec![Filter::SizeMax(1_000)],
        vec![Filter::SizeMin(500_000), Filter::SizeMax(501_000)],
        vec![Filter::SizeMin(500_000), property("half", "early")],
        vec![property("half", "late"), Filter::MinRam(512)],
        vec![property("number", "4711")],
        vec![property("key-17", "11"), property("key-18", "12")],
        vec![property("key-0", "0"), property("key-1", "1")],
        vec![Filter::Member("partner-5".to_owned())],
    ]
}

/// The lists of a large registry: all filters for all callers and periods.
fn lists() -> impl Iterator<Item = Query> {
    let tenant = |tenant: &str| ListScope::Tenant(Some(tenant.to_owned()));
    let visibilities = [
        ListScope::All,
        ListScope::NotPublic,
        ListScope::Tenant(None),
        tenant("tenant-3"),
        tenant("partner-5"),
    ];
    let changes = [None, Some(0), Some(MANY / 2), Some(MANY - 20)];
    product(filters(), product(visibilities.to_vec(), changes.to_vec())).map(
        |(filters, (scope, since))| Query {
            scope,
            filters,
            changes_since: since.map(|number| Timestamp::from_micros(number.into())),
            sort_keys: vec![(SortKey::CreatedAt, SortDirection::Ascending)],
            marker: None,
            limit: 25,
        },
    )
}

fn product<A: Clone, B: Clone>(
    all: impl IntoIterator<Item = A>,
    others: impl IntoIterator<Item = B>,
) -> impl Iterator<Item = (A, B)> {
    let others: Vec<B> = others.into_iter().collect();
    all.into_iter().flat_map(move |one| {
        let pair = move |other| (one.clone(), other);
        others.clone().into_iter().map(pair)
    })
}

/// Measures work instead of time, so that the result is the same on every machine. A record costs
/// about 100 ns and a slot about 1 ns: for 100,000 images the bounds are 0.06 and 0.4 ms.
#[test]
fn work_of_every_list_is_bounded() {
    let images: Vec<Image> = (0..MANY).map(numbered).collect();
    let snapshot = Snapshot::of(images.iter().map(|image| record(image, 1)));
    let markers = [None, Some(images[MANY as usize / 2].id), Some(images[7].id)];
    let directions = [SortDirection::Ascending, SortDirection::Descending];
    let forms = product(SortKey::ALL, product(directions, markers));
    let mut most = search::Work::default();
    for (list, (sort_key, (sort_direction, marker))) in product(lists(), forms) {
        let query = Query {
            sort_keys: vec![(sort_key, sort_direction)],
            marker,
            ..list
        };
        let (page, work) = search::page(&snapshot, &query, search::BOUNDS).unwrap();
        assert!(page.iter().all(|record| query.matches(&record.image)));
        assert!(work.records <= 600, "{work:?}: {query:?}");
        assert!(work.slots <= 4 * MANY as usize, "{work:?}: {query:?}");
        most.records = most.records.max(work.records);
        most.slots = most.slots.max(work.slots);
    }
    assert!(
        most.records > 250 && most.slots > MANY as usize,
        "{most:?}: the bounds are never reached"
    );
}
