//! Documents in etcd: reads and writes on the registry's thread.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse};
use tokio::time::{Instant, sleep};

use super::super::documents::{self, Document, DocumentKey};
use super::super::refusals::{CANNOT_READ, CANNOT_WRITE, unavailable};
use super::super::{Version, refusals};
use super::cluster::EtcdRequestError;
use super::document_replica::{document_of, version_at};
use super::state::{EtcdState, PAUSE};
use crate::error::{Error, Result};

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
