//! All documents of a registry in memory, in the order of kind and identifier.

use std::ops::Bound;
use std::sync::Arc;

use imbl::OrdMap;

use super::{Document, DocumentKey, DocumentQuery};
use crate::registry::Version;

/// Every document at one moment. Cloning is cheap: clones share what stays the same.
#[derive(Clone, Default)]
pub(in crate::registry) struct DocumentMap {
    documents: OrdMap<DocumentKey, Arc<Document>>,
    /// The last version that was assigned, possibly to a document that is deleted since.
    last_version: Version,
}

impl DocumentMap {
    pub(in crate::registry) fn get(&self, key: &DocumentKey) -> Option<&Arc<Document>> {
        self.documents.get(key)
    }

    /// Returns the version of a document; zero if there is none.
    pub(in crate::registry) fn version_of(&self, key: &DocumentKey) -> Version {
        self.get(key).map_or(0, |document| document.version)
    }

    pub(in crate::registry) fn last_version(&self) -> Version {
        self.last_version
    }

    /// Notes that versions up to this one were assigned.
    pub(in crate::registry) fn advance_to(&mut self, version: Version) {
        self.last_version = self.last_version.max(version);
    }

    /// Adds a document or replaces an earlier version.
    pub(in crate::registry) fn put(&mut self, document: Arc<Document>) {
        self.advance_to(document.version);
        self.documents.insert(document.key.clone(), document);
    }

    /// Removes a document by the write with this version.
    pub(in crate::registry) fn remove(&mut self, key: &DocumentKey, version: Version) {
        self.advance_to(version);
        self.documents.remove(key);
    }

    pub(in crate::registry) fn iter(&self) -> impl Iterator<Item = &Arc<Document>> {
        self.documents.values()
    }

    /// Returns one page of documents.
    pub(in crate::registry) fn list(&self, query: &DocumentQuery) -> Vec<Arc<Document>> {
        let kind = query.kind.as_deref();
        let first = DocumentKey {
            kind: kind.unwrap_or_default().to_owned(),
            id: String::new(),
        };
        let start = match &query.after {
            Some(after) if *after >= first => Bound::Excluded(after.clone()),
            _ => Bound::Included(first),
        };
        let behind = self.documents.range((start, Bound::Unbounded));
        let of_kind = behind.take_while(|(key, _)| kind.is_none_or(|kind| key.kind() == kind));
        let wanted = of_kind
            .map(|(_, document)| document)
            .filter(|document| query.owner.is_none() || document.owner == query.owner);
        wanted.take(query.limit).cloned().collect()
    }
}
