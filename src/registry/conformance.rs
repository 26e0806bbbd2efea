//! The behaviour that every driver must have, as functions over the trait that the tests of each
//! driver call.

use crate::error::Kind;
use crate::image::{
    Filter, Image, ImageId, ListScope, OwnerLimits, Query, SortDirection, SortKey, Status,
    Timestamp, Upload, Visibility,
};

use super::{Document, DocumentKey, DocumentQuery, MAX_DOCUMENT_BODY_BYTES, Registry};

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

/// Checks every behaviour of documents.
pub async fn documents(registry: &dyn Registry) {
    document_can_be_read_after_it_was_written(registry).await;
    document_write_requires_the_seen_version(registry).await;
    one_of_concurrent_document_writers_wins(registry).await;
    deleted_document_does_not_return(registry).await;
    documents_are_listed_by_kind_and_owner(registry).await;
    too_large_documents_are_refused(registry).await;
}

fn document(kind: &str, id: &str, body: &[u8]) -> Document {
    let key = DocumentKey::new(kind, id).unwrap();
    Document::new(key, Timestamp::from_micros(1_000_001), body)
}

async fn document_can_be_read_after_it_was_written(registry: &dyn Registry) {
    // An identifier that needs escaping in paths, and a body that is no text.
    let mut document = document("read", "a/b ?ü%", b"\0\xff");
    document.owner = Some("owner \" ü".to_owned());
    let key = document.key.clone();
    assert_eq!(registry.get_document(&key).await.unwrap(), None);
    let written = registry.put_document(document.clone(), 0).await.unwrap();
    assert!(written.version > 0);
    document.version = written.version;
    assert_eq!(*written, document);
    let read = registry.get_document(&key).await.unwrap();
    assert_eq!(read, Some(written));
}

async fn document_write_requires_the_seen_version(registry: &dyn Registry) {
    let first = document("cas", "1", b"first");
    let key = first.key.clone();
    let unknown = registry.put_document(first.clone(), 7).await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::Stale);
    let first = registry.put_document(first, 0).await.unwrap();
    let again = registry.put_document(document("cas", "1", b"again"), 0);
    assert_eq!(again.await.unwrap_err().kind(), Kind::Conflict);
    let second = document("cas", "1", b"second");
    let second = registry.put_document(second, first.version).await.unwrap();
    assert!(second.version > first.version);
    let stale = registry.put_document(document("cas", "1", b"third"), first.version);
    assert_eq!(stale.await.unwrap_err().kind(), Kind::Stale);
    let stale = registry.delete_document(&key, first.version).await;
    assert_eq!(stale.unwrap_err().kind(), Kind::Stale);
    assert_eq!(registry.get_document(&key).await.unwrap(), Some(second));
}

async fn one_of_concurrent_document_writers_wins(registry: &dyn Registry) {
    let seen = registry.put_document(document("raced", "1", b"0"), 0);
    let seen = seen.await.unwrap().version;
    let race = |body| registry.put_document(document("raced", "1", body), seen);
    let (a, b, c, d) = tokio::join!(race(b"1"), race(b"2"), race(b"3"), race(b"4"));
    let won: Vec<_> = [a, b, c, d].into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1);
    let current = registry.get_document(&won[0].key).await.unwrap();
    assert_eq!(current.as_ref(), Some(&won[0]));
}

async fn deleted_document_does_not_return(registry: &dyn Registry) {
    let old = registry.put_document(document("deleted", "1", b"1"), 0);
    let old = old.await.unwrap();
    let deletion = registry.delete_document(&old.key, old.version);
    deletion.await.unwrap();
    assert_eq!(registry.get_document(&old.key).await.unwrap(), None);
    let of_kind = DocumentQuery {
        kind: Some("deleted".to_owned()),
        ..DocumentQuery::everything(10)
    };
    let listed = registry.list_documents(&of_kind).await.unwrap();
    assert!(listed.is_empty());
    let again = registry.delete_document(&old.key, old.version).await;
    assert_eq!(again.unwrap_err().kind(), Kind::Stale);
    let never = registry.delete_document(&old.key, 0).await;
    assert_eq!(never.unwrap_err().kind(), Kind::Stale);
    // A writer that has seen the old document must not overwrite a new one.
    let new = registry.put_document(document("deleted", "1", b"2"), 0);
    let new = new.await.unwrap();
    assert!(new.version > old.version);
    let stale = registry.put_document(document("deleted", "1", b"3"), old.version);
    assert_eq!(stale.await.unwrap_err().kind(), Kind::Stale);
}

async fn documents_are_listed_by_kind_and_owner(registry: &dyn Registry) {
    for (kind, id, owner) in [
        ("listed", "c", Some("x")),
        ("listed", "a", Some("x")),
        ("listed", "b", Some("y")),
        ("listed", "d", None),
        ("listed_too", "a", Some("x")),
    ] {
        let mut document = document(kind, id, b"body");
        document.owner = owner.map(str::to_owned);
        registry.put_document(document, 0).await.unwrap();
    }
    let mut query = DocumentQuery {
        kind: Some("listed".to_owned()),
        ..DocumentQuery::everything(2)
    };
    let ids = async |query: &DocumentQuery| -> Vec<String> {
        let documents = registry.list_documents(query).await.unwrap();
        let ids = documents
            .iter()
            .map(|document| document.key.id().to_owned());
        ids.collect()
    };
    assert_eq!(ids(&query).await, ["a", "b"]);
    query.after = Some(DocumentKey::new("listed", "b").unwrap());
    assert_eq!(ids(&query).await, ["c", "d"]);
    query.after = Some(DocumentKey::new("listed", "d").unwrap());
    assert!(ids(&query).await.is_empty());
    // The marker need not exist.
    query.after = Some(DocumentKey::new("listed", "bb").unwrap());
    assert_eq!(ids(&query).await, ["c", "d"]);
    query.after = None;
    query.owner = Some("x".to_owned());
    assert_eq!(ids(&query).await, ["a", "c"]);
    query.kind = Some("unknown".to_owned());
    assert!(ids(&query).await.is_empty());
    let query = DocumentQuery::everything(1000);
    let everything = registry.list_documents(&query).await.unwrap();
    assert!(everything.is_sorted_by(|a, b| a.key < b.key));
    assert!(everything.len() >= 5);
}

async fn too_large_documents_are_refused(registry: &dyn Registry) {
    let largest = document("large", "1", &vec![0xff; MAX_DOCUMENT_BODY_BYTES]);
    let written = registry.put_document(largest, 0).await.unwrap();
    let read = registry.get_document(&written.key).await.unwrap();
    assert_eq!(read, Some(written));
    let larger = document("large", "2", &vec![0xff; MAX_DOCUMENT_BODY_BYTES + 1]);
    let key = larger.key.clone();
    let refused = registry.put_document(larger, 0).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::TooLarge);
    assert_eq!(registry.get_document(&key).await.unwrap(), None);
}
