//! The index against the plainest possible list: filter everything, sort everything.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::Record;
use super::{Index, Snapshot, UnknownMarker};
use crate::image::{
    Filter, Image, ImageId, Member, Query, SortDirection, SortKey, Status, Timestamp, Visibility,
};

fn image() -> impl Strategy<Value = Image> {
    let word = prop::sample::select(vec!["a", "b", "c"]);
    let text = prop::option::of(word.prop_map(str::to_owned));
    (
        (text.clone(), text.clone(), text.clone(), text.clone()),
        prop::sample::select(Status::ALL.to_vec()),
        (0..4u64, 0..4i64, 0..4i64),
        any::<(bool, bool)>(),
        prop::option::of(text),
    )
        .prop_map(|(texts, status, numbers, flags, property)| {
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
            (image.is_public, image.protected) = flags;
            if let Some(value) = property {
                let id = "c".to_owned();
                image.members.push(Member {
                    id,
                    can_share: flags.0,
                });
                image.properties.insert("p".to_owned(), value);
            }
            image
        })
}

fn filter() -> impl Strategy<Value = Filter> {
    let word = prop::sample::select(vec!["a", "b", "z"]).prop_map(str::to_owned);
    let words = prop::collection::vec(word.clone(), 1..3);
    prop_oneof![
        words.clone().prop_map(Filter::Name),
        words.clone().prop_map(Filter::DiskFormat),
        words.prop_map(Filter::ContainerFormat),
        prop::sample::select(Status::ALL.to_vec())
            .prop_map(|status| Filter::Status(vec![status.as_str().to_owned()])),
        (0..4u64).prop_map(Filter::SizeMin),
        (0..4u64).prop_map(Filter::SizeMax),
        any::<bool>().prop_map(Filter::Protected),
        word.clone()
            .prop_map(|value| Filter::Property("p".to_owned(), value)),
        word.prop_map(Filter::Member),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let tenant = prop::option::of(prop::sample::select(vec!["a", "c"]).prop_map(str::to_owned));
    let visibility = prop_oneof![
        Just(Visibility::All),
        Just(Visibility::NotPublic),
        tenant.prop_map(Visibility::Tenant),
    ];
    let direction = prop::sample::select(vec![SortDirection::Ascending, SortDirection::Descending]);
    (
        visibility,
        prop::collection::vec(filter(), 0..3),
        prop::option::of((0..4i64).prop_map(Timestamp::from_micros)),
        prop::sample::select(super::ORDERS.to_vec()),
        direction,
        0..12usize,
    )
        .prop_map(
            |(visibility, filters, changes_since, sort_key, sort_direction, limit)| Query {
                visibility,
                filters,
                changes_since,
                sort_key,
                sort_direction,
                marker: None,
                limit,
            },
        )
}

/// What the list must be, worked out without any index.
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

fn ids(snapshot: &Snapshot, query: &Query) -> Vec<ImageId> {
    let page = snapshot.list(query).unwrap();
    page.iter().map(|record| record.image.id).collect()
}

proptest! {
    #[test]
    fn lists_are_what_they_must_be(
        before in prop::collection::vec(image(), 1..40),
        after in prop::collection::vec(image(), 1..40),
        query in query(),
        marker in any::<prop::sample::Index>(),
    ) {
        let mut snapshot = Snapshot::default();
        for image in &before {
            snapshot.put(Arc::new(Record::new(image.clone(), 1)));
        }
        // The first images change into others; the rest stay.
        let mut images = before;
        for (image, new) in images.iter_mut().zip(after) {
            *image = Image { id: image.id, ..new };
            snapshot.put(Arc::new(Record::new(image.clone(), 2)));
        }
        prop_assert_eq!(ids(&snapshot, &query), plain_list(&images, &query));
        let query = Query { marker: Some(marker.get(&images).id), ..query };
        prop_assert_eq!(ids(&snapshot, &query), plain_list(&images, &query));
    }
}

#[test]
fn an_unknown_marker_is_an_error() {
    let index = Index::new(Snapshot::default());
    let query = Query {
        visibility: Visibility::All,
        filters: Vec::new(),
        changes_since: None,
        sort_key: SortKey::CreatedAt,
        sort_direction: SortDirection::Descending,
        marker: Some(ImageId::random()),
        limit: 1,
    };
    assert_eq!(index.list(&query).err(), Some(UnknownMarker));
}
