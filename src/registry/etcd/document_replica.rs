//! The local copy of the documents in etcd, which answers lists.
//!
//! The version of a document is the revision of etcd at which its key was last written, so it is
//! never assigned twice. Unlike the key of an image, the key of a document is deleted with it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use etcd_client::KeyValue;
use tokio::sync::watch;

use super::super::documents::{self, Document, DocumentKey, DocumentMap};
use super::super::record::Version;

/// The documents that readers on every thread see.
pub(super) struct PublishedDocuments {
    current: ArcSwap<DocumentMap>,
    /// True once all documents have been read from etcd.
    pub(super) is_loaded: watch::Sender<bool>,
}

/// The local copy of all documents. Only the registry's thread changes it.
///
/// Changes arrive in any order: from the watch, and from the answers to own writes, which may
/// come earlier or later than the watch reports them. Of two states of a document the later one
/// wins.
pub(super) struct DocumentReplica {
    published: Arc<PublishedDocuments>,
    map: RefCell<DocumentMap>,
    /// The map contains every change up to this revision.
    applied_revision: Cell<i64>,
    /// Own deletions that the watch has not reported yet. An older write that the watch reports
    /// late must not bring the document back.
    deletions: RefCell<HashMap<DocumentKey, i64>>,
}

impl Default for PublishedDocuments {
    fn default() -> Self {
        Self {
            current: ArcSwap::default(),
            is_loaded: watch::Sender::new(false),
        }
    }
}

impl PublishedDocuments {
    pub(super) fn current(&self) -> Arc<DocumentMap> {
        self.current.load_full()
    }
}

impl DocumentReplica {
    pub(super) fn new(published: Arc<PublishedDocuments>) -> Self {
        Self {
            published,
            map: RefCell::default(),
            applied_revision: Cell::new(0),
            deletions: RefCell::default(),
        }
    }

    pub(super) fn applied_revision(&self) -> i64 {
        self.applied_revision.get()
    }

    /// Replaces everything by the documents that etcd had at a revision.
    pub(super) fn replace_all(&self, map: DocumentMap, revision: i64) {
        *self.map.borrow_mut() = map;
        self.applied_revision.set(revision);
        // Revisions of another history say nothing about this one.
        self.deletions.borrow_mut().clear();
        self.publish();
        self.published.is_loaded.send_replace(true);
    }

    /// Applies a change that the watch reports: a document, or the deletion of a key. The caller
    /// reports all changes of a revision before it calls [`DocumentReplica::advance_to`].
    pub(super) fn apply_event(&self, key: &DocumentKey, document: Option<Document>, revision: i64) {
        let mut map = self.map.borrow_mut();
        let version = version_at(revision);
        if map.version_of(key) > version {
            return;
        }
        let deleted_at = self.deletions.borrow().get(key).copied();
        match document {
            Some(document) if deleted_at.is_none_or(|deleted_at| deleted_at < revision) => {
                map.put(Arc::new(document));
            }
            Some(_) => {}
            None => map.remove(key, version),
        }
    }

    /// Notes that the watch has reported everything up to a revision, and shows it to readers.
    pub(super) fn advance_to(&self, revision: i64) {
        self.applied_revision
            .set(revision.max(self.applied_revision.get()));
        let mut deletions = self.deletions.borrow_mut();
        deletions.retain(|_, deleted_at| *deleted_at > revision);
        drop(deletions);
        self.publish();
    }

    pub(super) fn apply_own_write(&self, document: Arc<Document>) {
        let mut map = self.map.borrow_mut();
        let is_reported = document.version <= version_at(self.applied_revision.get());
        if is_reported || map.version_of(&document.key) > document.version {
            return;
        }
        map.put(document);
        drop(map);
        self.publish();
    }

    pub(super) fn apply_own_deletion(&self, key: &DocumentKey, revision: i64) {
        if revision <= self.applied_revision.get() {
            return;
        }
        let mut map = self.map.borrow_mut();
        if map.version_of(key) < version_at(revision) {
            map.remove(key, version_at(revision));
            self.deletions.borrow_mut().insert(key.clone(), revision);
        }
        drop(map);
        self.publish();
    }

    fn publish(&self) {
        let map = Arc::new(self.map.borrow().clone());
        self.published.current.store(map);
    }
}

pub(super) fn version_at(revision: i64) -> Version {
    Version::try_from(revision).unwrap_or_default()
}

/// Decodes the document under a key.
///
/// # Errors
/// The reason why this release cannot read it, as text.
pub(super) fn document_of(kv: &KeyValue) -> std::result::Result<Document, String> {
    let document = documents::decode(kv.value()).map_err(|error| error.to_string())?;
    Ok(Document {
        version: version_at(kv.mod_revision()),
        ..document
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Timestamp;

    fn document(version: Version) -> Document {
        let key = DocumentKey::new("task", "7").unwrap();
        let mut document = Document::new(key, Timestamp::from_micros(1), "body");
        document.version = version;
        document
    }

    fn versions(replica: &DocumentReplica) -> Vec<Version> {
        let current = replica.published.current();
        current.iter().map(|document| document.version).collect()
    }

    #[test]
    fn later_change_wins_in_any_order() {
        let replica = DocumentReplica::new(Arc::default());
        let key = document(1).key;
        replica.replace_all(DocumentMap::default(), 4);
        assert!(*replica.published.is_loaded.borrow());
        // Own writes arrive before the watch reports them, and again with the watch.
        replica.apply_own_write(Arc::new(document(5)));
        replica.apply_own_deletion(&key, 6);
        replica.apply_event(&key, Some(document(5)), 5);
        replica.advance_to(5);
        assert!(versions(&replica).is_empty());
        replica.apply_event(&key, None, 6);
        replica.apply_event(&key, Some(document(7)), 7);
        replica.advance_to(7);
        assert_eq!(versions(&replica), [7]);
        // The answer to an own write arrives after the watch has reported a later deletion.
        replica.apply_event(&key, None, 9);
        replica.advance_to(9);
        replica.apply_own_write(Arc::new(document(8)));
        assert!(versions(&replica).is_empty());
    }
}
