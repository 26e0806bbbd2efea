//! The behaviour that every driver must have, as functions over the trait that the tests of each
//! driver call.

mod documents;

use crate::error::Kind;
use crate::image::{
    Filter, Image, ImageId, ListScope, OwnerLimits, Query, SortDirection, SortKey, Status,
    Timestamp, Upload, Visibility,
};

use super::Registry;
pub use documents::all as documents;

/// The limits that the tested registry must enforce.
pub const OWNER_LIMITS: OwnerLimits = OwnerLimits {
    bytes: Some(1000),
    images: Some(100),
};

/// Returns a new public image with a random identifier.
pub fn image(name: &str) -> Image {
    let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(1_000_000));
    image.name = Some(name.to_owned());
    image.visibility = Visibility::Public;
    image
}

/// Checks every behaviour of images.
pub async fn all(registry: &dyn Registry) {
    inserted_image_can_be_read(registry).await;
    identifier_is_used_once(registry).await;
    replacing_requires_the_seen_version(registry).await;
    one_of_concurrent_writers_wins(registry).await;
    lists_are_returned_in_pages(registry).await;
    too_large_metadata_are_refused(registry).await;
    stats_follow_the_status(registry).await;
    owner_limit_of_bytes_is_enforced(registry).await;
    owner_limit_of_images_is_enforced(registry).await;
}

async fn inserted_image_can_be_read(registry: &dyn Registry) {
    let image = image("inserted");
    assert!(registry.get(&image.id).await.unwrap().is_none());
    let inserted = registry.insert(image.clone()).await.unwrap();
    assert_eq!((&inserted.image, inserted.version), (&image, 1));
    assert_eq!(registry.get(&image.id).await.unwrap(), Some(inserted));
}

async fn identifier_is_used_once(registry: &dyn Registry) {
    let mut image = image("taken");
    let inserted = registry.insert(image.clone()).await.unwrap();
    let again = registry.insert(image.clone()).await.unwrap_err();
    assert_eq!(again.kind(), Kind::Conflict);
    image.status = Status::Deleted;
    let image_id = image.id;
    registry.replace(image, inserted.version).await.unwrap();
    let mut reuse = self::image("reuse");
    reuse.id = image_id;
    let reused = registry.insert(reuse).await.unwrap_err();
    assert_eq!(
        reused.kind(),
        Kind::Conflict,
        "also if the image is deleted"
    );
}

async fn replacing_requires_the_seen_version(registry: &dyn Registry) {
    let mut image = image("changed");
    let first = registry.insert(image.clone()).await.unwrap();
    image.size_bytes = 1;
    let second = registry
        .replace(image.clone(), first.version)
        .await
        .unwrap();
    assert!(second.version > first.version);
    image.size_bytes = 2;
    let stale = registry.replace(image.clone(), first.version).await;
    assert_eq!(stale.unwrap_err().kind(), Kind::Stale);
    let now = registry.get(&image.id).await.unwrap().unwrap();
    assert_eq!(now.image.size_bytes, 1, "a refused write changes nothing");
    let unknown = registry.replace(self::image("unknown"), 1).await;
    assert_eq!(unknown.unwrap_err().kind(), Kind::Stale);
}

async fn one_of_concurrent_writers_wins(registry: &dyn Registry) {
    let image = image("raced");
    let seen = registry.insert(image.clone()).await.unwrap().version;
    let race = |size_bytes| {
        let mut image = image.clone();
        image.size_bytes = size_bytes;
        registry.replace(image, seen)
    };
    let (a, b, c, d) = tokio::join!(race(1), race(2), race(3), race(4));
    let won: Vec<_> = [a, b, c, d].into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(registry.get(&image.id).await.unwrap().unwrap(), won[0]);
}

async fn lists_are_returned_in_pages(registry: &dyn Registry) {
    let mut wanted = Vec::new();
    for position in 0..7 {
        let mut image = image("paged");
        image.created_at = Timestamp::from_micros(position / 2);
        image.size_bytes = (position % 3).unsigned_abs();
        registry.insert(image.clone()).await.unwrap();
        wanted.push(image);
    }
    let mut query = Query {
        scope: ListScope::Tenant(None),
        filters: vec![Filter::Name(vec!["paged".to_owned()])],
        changes_since: None,
        sort_keys: vec![(SortKey::CreatedAt, SortDirection::Ascending)],
        marker: None,
        limit: 3,
    };
    check_pages(registry, &mut query, &mut wanted).await;
    query.sort_keys = vec![
        (SortKey::CreatedAt, SortDirection::Descending),
        (SortKey::Size, SortDirection::Ascending),
    ];
    check_pages(registry, &mut query, &mut wanted).await;
    query.marker = Some(ImageId::random());
    assert_eq!(
        registry.list(&query).await.unwrap_err().kind(),
        Kind::Invalid
    );
}

/// Lists page by page and compares the result with the sorted images.
async fn check_pages(registry: &dyn Registry, query: &mut Query, wanted: &mut [Image]) {
    query.marker = None;
    wanted.sort_by(|a, b| query.order(a, b));
    let mut listed = Vec::new();
    loop {
        let page = registry.list(query).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        query.marker = Some(last.image.id);
        listed.extend(page.into_iter().map(|record| record.image.clone()));
    }
    assert_eq!(listed, wanted);
}

async fn too_large_metadata_are_refused(registry: &dyn Registry) {
    let mut image = image("large");
    let value = "x".repeat(70_000);
    image.properties.insert("large".to_owned(), Some(value));
    let refused = registry.insert(image.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TooLarge);
    assert!(registry.get(&image.id).await.unwrap().is_none());
}

async fn stats_follow_the_status(registry: &dyn Registry) {
    let count = |census: super::RegistryStats, wanted| {
        let mut counts = census.by_status();
        counts.find_map(|(status, count)| (status == wanted).then_some(count))
    };
    let before = registry.check().await.unwrap();
    let mut image = image("counted");
    let version = registry.insert(image.clone()).await.unwrap().version;
    image.status = Status::Killed;
    registry.replace(image, version).await.unwrap();
    let after = registry.check().await.unwrap();
    let (queued, killed) = (Status::Queued, Status::Killed);
    assert_eq!(count(after, queued), count(before, queued));
    assert_eq!(
        count(after, killed),
        count(before, killed).map(|count| count + 1)
    );
}

/// Returns an image whose upload has reserved this many bytes.
fn reserving(owner: &str, reserved_bytes: u64) -> Image {
    let mut image = image("reserving");
    image.owner = Some(owner.to_owned());
    image.status = Status::Saving;
    image.upload = Some(Upload {
        id: uuid::Uuid::new_v4(),
        store: "file".to_owned(),
        started_at: image.created_at,
        reserved_bytes,
        node: None,
        process: None,
        on_failure: Default::default(),
    });
    image
}

async fn owner_limit_of_bytes_is_enforced(registry: &dyn Registry) {
    let kept = registry.insert(reserving("a", 600)).await.unwrap();
    let refused = reserving("a", 401);
    let refusal = registry.insert(refused.clone()).await.unwrap_err();
    assert_eq!(refusal.kind(), Kind::TooLarge);
    let words = "The size of the data 401 will exceed the limit. 400 bytes remaining.";
    assert!(refusal.message().ends_with(words), "{}", refusal.message());
    assert!(registry.get(&refused.id).await.unwrap().is_none());

    let insert = || registry.insert(reserving("a", 200));
    let (a, b, c, d) = tokio::join!(insert(), insert(), insert(), insert());
    let won: Vec<_> = [a, b, c, d].into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 2);
    assert_eq!(registry.usage(Some("a")).await.unwrap().kept_bytes, 1000);

    // An owner at the limit may give images away, shrink and rename them, but not receive any.
    let mut given = won[0].image.clone();
    given.owner = Some("b".to_owned());
    registry.replace(given, won[0].version).await.unwrap();
    let mut grown = kept.image.clone();
    grown.upload.as_mut().unwrap().reserved_bytes = 800;
    let grown = registry.replace(grown, kept.version).await.unwrap();
    let mut renamed = grown.image.clone();
    renamed.name = Some("renamed".to_owned());
    let renamed = registry.replace(renamed, grown.version).await.unwrap();
    let mut taken = registry.insert(reserving("b", 1)).await.unwrap();
    let mut image = taken.image.clone();
    image.owner = Some("a".to_owned());
    let refusal = registry.replace(image, taken.version).await.unwrap_err();
    assert_eq!(refusal.kind(), Kind::TooLarge);

    // Data that are being removed count until they are removed.
    let mut failed = renamed.image.clone();
    failed.status = Status::Killed;
    let failed = registry.replace(failed, renamed.version).await.unwrap();
    let usage = registry.usage(Some("a")).await.unwrap();
    assert_eq!((usage.kept_bytes, usage.leaving_bytes), (200, 800));
    registry.insert(reserving("a", 1)).await.unwrap_err();
    let mut gone = failed.image.clone();
    gone.upload = None;
    registry.replace(gone, failed.version).await.unwrap();
    taken = registry.insert(reserving("a", 800)).await.unwrap();
    assert_eq!(taken.version, 1);
}

async fn owner_limit_of_images_is_enforced(registry: &dyn Registry) {
    let before = registry.check().await.unwrap().usage.images;
    let mut last = None;
    for _ in 0..100 {
        last = Some(registry.insert(reserving("many", 0)).await.unwrap());
    }
    let refusal = registry.insert(reserving("many", 0)).await.unwrap_err();
    assert_eq!(refusal.kind(), Kind::TooLarge);
    let words = "Attempted: 101, Maximum: 100";
    assert!(refusal.message().ends_with(words), "{}", refusal.message());
    let last = last.unwrap();
    let mut deleted = last.image.clone();
    deleted.status = Status::Deleted;
    registry.replace(deleted, last.version).await.unwrap();
    registry.insert(reserving("many", 0)).await.unwrap();
    assert_eq!(registry.usage(Some("many")).await.unwrap().images, 100);
    let after = registry.check().await.unwrap().usage.images;
    assert_eq!(after, before + 100);
}
