//! Documents in etcd: reads, writes and the local copy that answers lists.
//!
//! The version of a document is the revision of etcd at which its key was last written, so it is
//! never assigned twice. Unlike the key of an image, the key of a document is deleted with it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::documents::{self, Document, DocumentKey, DocumentMap};
use super::super::refusals::unavailable;
use super::super::{Version, refusals};
use super::cluster::EtcdRequestError;
use super::state::{CANNOT_READ, CANNOT_WRITE, EtcdState, PAUSE};
use crate::error::{Error, Result};

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

    fn apply_own_write(&self, document: Arc<Document>) {
        let mut map = self.map.borrow_mut();
        let is_reported = document.version <= version_at(self.applied_revision.get());
        if is_reported || map.version_of(&document.key) > document.version {
            return;
        }
        map.put(document);
        drop(map);
        self.publish();
    }

    fn apply_own_deletion(&self, key: &DocumentKey, revision: i64) {
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

fn version_at(revision: i64) -> Version {
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

impl EtcdState {
    /// Reads a document from etcd itself.
    pub(super) async fn fetch_document(
        &self,
        key: &DocumentKey,
        deadline: Instant,
    ) -> Result<Option<Arc<Document>>> {
        let name = self.keys.document(key);
        let found = self.cluster.get(&name, &GetOptions::new(), deadline).await;
        let found = found.map_err(|error| unavailable(CANNOT_READ, error))?;
        let document = found.kvs().first().map(document_of).transpose();
        let document = document.map_err(|reason| {
            Error::internal(format!(
                "document {key} cannot be read by this release: {reason}"
            ))
        })?;
        Ok(document.map(Arc::new))
    }

    /// Writes a document if it still has the version that was seen.
    pub(super) async fn put_document(
        &self,
        document: Document,
        seen: Version,
        deadline: Instant,
    ) -> Result<Arc<Document>> {
        document.check_size()?;
        // The revision of the write is not known yet. It replaces the version at every read.
        let mut document = Document {
            version: 0,
            ..document
        };
        let value = documents::encode(&document).map_err(Error::internal)?;
        let revision = self
            .write_document(&document.key, seen, Some(&value), deadline)
            .await?;
        document.version = version_at(revision);
        let document = Arc::new(document);
        self.documents.apply_own_write(Arc::clone(&document));
        Ok(document)
    }

    /// Deletes a document if it still has the version that was seen.
    pub(super) async fn delete_document(
        &self,
        key: &DocumentKey,
        seen: Version,
        deadline: Instant,
    ) -> Result<()> {
        if seen == 0 {
            return Err(refusals::document_changed(key));
        }
        let revision = self.write_document(key, seen, None, deadline).await?;
        self.documents.apply_own_deletion(key, revision);
        Ok(())
    }

    /// Puts a value, or deletes the key, in one transaction that compares the version. Returns the
    /// revision of the write.
    async fn write_document(
        &self,
        key: &DocumentKey,
        seen: Version,
        value: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<i64> {
        let name = self.keys.document(key);
        let seen_revision = i64::try_from(seen).unwrap_or(i64::MAX);
        // True once an attempt has had no answer: it may have been executed, or may still be.
        let mut is_unknown = false;
        loop {
            let write = match value {
                Some(value) => TxnOp::put(name.clone(), value, None),
                None => TxnOp::delete(name.clone(), None),
            };
            let unchanged = Compare::mod_revision(name.clone(), CompareOp::Equal, seen_revision);
            let txn = Txn::new()
                .when([unchanged])
                .and_then([write])
                .or_else([TxnOp::get(name.clone(), None)]);
            let error = match self.cluster.txn(txn, deadline).await {
                Ok(response) => {
                    let revision = response.header().map_or(0, |header| header.revision());
                    if response.succeeded() {
                        self.accepts_writes();
                        return Ok(revision);
                    }
                    let current = response.op_responses().into_iter().next();
                    let current = match current {
                        Some(TxnOpResponse::Get(mut found)) => found.take_kvs().pop(),
                        _ => None,
                    };
                    return match own_revision(current.as_ref(), value, seen_revision, revision) {
                        // Sending the write again is safe: the comparison lets at most one of the
                        // attempts succeed. So a refused attempt may be due to an earlier one.
                        Some(revision) if is_unknown => Ok(revision),
                        None if is_unknown => {
                            Err(unavailable(CANNOT_WRITE, "an answer of etcd was lost"))
                        }
                        Some(_) | None => Err(refusals::document_mismatch(key, seen)),
                    };
                }
                Err(error) => error,
            };
            is_unknown |= !error.is_unsent;
            self.check_retry(&error, deadline)
                .map_err(|()| unavailable(CANNOT_WRITE, error))?;
            sleep(PAUSE).await;
        }
    }

    /// Returns an error if a write that failed must not be tried again: etcd has refused it, or
    /// there is no time left.
    fn check_retry(
        &self,
        error: &EtcdRequestError,
        deadline: Instant,
    ) -> std::result::Result<(), ()> {
        if error.is_permanent {
            self.refuses_writes(error);
            return Err(());
        }
        match Instant::now() + PAUSE < deadline {
            true => Ok(()),
            false => Err(()),
        }
    }
}

/// Returns the revision of an own write if the key is in the state that the write leaves.
fn own_revision(
    current: Option<&KeyValue>,
    value: Option<&[u8]>,
    seen_revision: i64,
    now: i64,
) -> Option<i64> {
    match (current, value) {
        (None, None) => Some(now),
        (Some(kv), Some(value)) if kv.value() == value && kv.mod_revision() > seen_revision => {
            Some(kv.mod_revision())
        }
        _ => None,
    }
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
