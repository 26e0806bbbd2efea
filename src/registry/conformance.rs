//! What every registry must do: plain functions over the trait, run by each driver.

use crate::error::Kind;
use crate::image::{
    Filter, Image, ImageId, Query, SortDirection, SortKey, Status, Timestamp, Visibility,
};

use super::Registry;

/// A new image that nobody has registered.
pub(crate) fn image(name: &str) -> Image {
    let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(1_000_000));
    image.name = Some(name.to_owned());
    image.is_public = true;
    image
}

/// Every behaviour.
pub(crate) async fn all(registry: &dyn Registry) {
    what_is_inserted_is_there(registry).await;
    an_identifier_is_taken_once(registry).await;
    a_change_needs_the_version_seen(registry).await;
    one_of_many_racers_wins(registry).await;
    lists_come_in_pages(registry).await;
    too_much_metadata_is_refused(registry).await;
    everything_is_counted(registry).await;
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
        visibility: Visibility::Tenant(None),
        filters: vec![Filter::Name(vec!["paged".to_owned()])],
        changes_since: None,
        sort_key: SortKey::CreatedAt,
        sort_direction: SortDirection::Ascending,
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
    let count = |census: super::Census, wanted| {
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
