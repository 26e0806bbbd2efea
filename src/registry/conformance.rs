//! What every registry must do: plain functions over the trait, run by each driver.

use crate::error::Kind;
use crate::image::{
    Filter, Image, ImageId, ListScope, OwnerLimits, Query, SortDirection, SortKey, Status,
    Timestamp, Upload, Visibility,
};

use super::Registry;

/// What the registry that is tried must hold owners to.
pub const OWNER_LIMITS: OwnerLimits = OwnerLimits {
    bytes: Some(1000),
    images: Some(100),
};

/// A new image that nobody has registered.
pub fn image(name: &str) -> Image {
    let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(1_000_000));
    image.name = Some(name.to_owned());
    image.visibility = Visibility::Public;
    image
}

/// Every behaviour.
pub async fn all(registry: &dyn Registry) {
    what_is_inserted_is_there(registry).await;
    an_identifier_is_taken_once(registry).await;
    a_change_needs_the_version_seen(registry).await;
    one_of_many_racers_wins(registry).await;
    lists_come_in_pages(registry).await;
    too_much_metadata_is_refused(registry).await;
    everything_is_counted(registry).await;
    owners_are_held_to_their_bytes(registry).await;
    owners_are_held_to_their_images(registry).await;
}

async fn what_is_inserted_is_there(registry: &dyn Registry) {
    let image = image("inserted");
    assert!(registry.get(&image.id).await.unwrap().is_none());
    let inserted = registry.insert(image.clone()).await.unwrap();
    assert_eq!((&inserted.image, inserted.version), (&image, 1));
    assert_eq!(registry.get(&image.id).await.unwrap(), Some(inserted));
}

async fn an_identifier_is_taken_once(registry: &dyn Registry) {
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
    assert_eq!(reused.kind(), Kind::Conflict, "also when it is deleted");
}

async fn a_change_needs_the_version_seen(registry: &dyn Registry) {
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
    assert_eq!(now.image.size_bytes, 1, "a refused write leaves no trace");
    let unknown = registry.replace(self::image("unknown"), 1).await;
    assert_eq!(unknown.unwrap_err().kind(), Kind::Stale);
}

async fn one_of_many_racers_wins(registry: &dyn Registry) {
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

async fn lists_come_in_pages(registry: &dyn Registry) {
    let mut wanted = Vec::new();
    for position in 0..7 {
        let mut image = image("paged");
        image.created_at = Timestamp::from_micros(position / 2);
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
    wanted.sort_by(|a, b| query.order(a, b));
    let mut listed = Vec::new();
    loop {
        let page = registry.list(&query).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        query.marker = Some(last.image.id);
        listed.extend(page.into_iter().map(|record| record.image.clone()));
    }
    assert_eq!(listed, wanted);
    query.marker = Some(ImageId::random());
    assert_eq!(
        registry.list(&query).await.unwrap_err().kind(),
        Kind::Invalid
    );
}

async fn too_much_metadata_is_refused(registry: &dyn Registry) {
    let mut image = image("large");
    let value = "x".repeat(70_000);
    image.properties.insert("large".to_owned(), Some(value));
    let refused = registry.insert(image.clone()).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TooLarge);
    assert!(registry.get(&image.id).await.unwrap().is_none());
}

async fn everything_is_counted(registry: &dyn Registry) {
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

/// An image whose upload may put so many bytes into a store.
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
    });
    image
}

async fn owners_are_held_to_their_bytes(registry: &dyn Registry) {
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

    // Who is full may still give away, shrink and rename, and take nothing.
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

    // What is being removed counts until it is gone.
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

async fn owners_are_held_to_their_images(registry: &dyn Registry) {
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
