//! The behaviour of documents that every driver must have.

use crate::error::Kind;
use crate::image::Timestamp;

use super::super::{Document, DocumentKey, DocumentQuery, MAX_DOCUMENT_BODY_BYTES, Registry};

/// Checks every behaviour of documents.
pub async fn all(registry: &dyn Registry) {
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
