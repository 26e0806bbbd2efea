//! Loads the documents of a dump into a registry.
//!
//! The same rules apply as to images ([`import`](super::import)), with one difference: documents of
//! the registry that the dump does not have are not an obstacle, because a registry may have
//! documents before it has any image.

use std::collections::BTreeMap;

use super::args::Merge;
use super::error::{ManageError, with_cause};
use super::records::Records;
use crate::error::{Error, Kind};
use crate::registry::{Document, DocumentKey, Registry, Version};

/// The result of loading documents.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DocumentImportReport {
    /// Documents that were written.
    pub(super) written: u64,
    /// Documents that the registry already had, or that it kept in its own state.
    pub(super) kept: u64,
    /// Documents that the registry has refused, each with the reason.
    pub(super) refused: Vec<(DocumentKey, String)>,
}

/// The documents to write, with the versions that the registry has now; zero for new ones.
pub(super) struct DocumentImportPlan {
    writes: Vec<(Document, Version)>,
    kept: u64,
}

impl DocumentImportPlan {
    /// Compares the documents of a dump with those of the registry.
    ///
    /// # Errors
    /// [`ManageError::DocumentConflicts`] if the registry has other states of documents and `merge`
    /// does not say which one wins.
    pub(super) async fn new(
        records: &Records,
        documents: Vec<Document>,
        merge: Option<Merge>,
    ) -> Result<Self, ManageError> {
        let existing = match documents.is_empty() {
            true => Vec::new(),
            false => records.documents().await?,
        };
        let existing = existing.into_iter().map(|found| (found.key.clone(), found));
        let existing: BTreeMap<DocumentKey, Document> = existing.collect();
        let mut survey = Self {
            writes: Vec::new(),
            kept: 0,
        };
        let mut conflicts = Vec::new();
        for document in documents {
            let found = existing.get(&document.key);
            match found.map(|found| wins(&document, found, merge)) {
                None => survey.writes.push((document, 0)),
                Some(Some(true)) => {
                    let seen = found.map_or(0, |found| found.version);
                    survey.writes.push((document, seen));
                }
                Some(Some(false)) => survey.kept += 1,
                Some(None) => conflicts.push(document.key),
            }
        }
        match conflicts.is_empty() {
            true => Ok(survey),
            false => Err(ManageError::DocumentConflicts(conflicts)),
        }
    }

    /// Returns what [`DocumentImportPlan::load`] would do.
    pub(super) fn forecast(&self) -> DocumentImportReport {
        DocumentImportReport {
            written: self.writes.len() as u64,
            kept: self.kept,
            refused: Vec::new(),
        }
    }

    /// Writes the documents.
    ///
    /// # Errors
    /// [`ManageError::Registry`] if the registry cannot be reached.
    pub(super) async fn load(
        self,
        registry: &dyn Registry,
    ) -> Result<DocumentImportReport, ManageError> {
        let mut loaded = DocumentImportReport {
            kept: self.kept,
            ..DocumentImportReport::default()
        };
        for (document, seen) in self.writes {
            let key = document.key.clone();
            match registry.put_document(document, seen).await {
                Ok(_) => loaded.written += 1,
                Err(error) if is_unavailable(&error) => return Err(error.into()),
                Err(error) => loaded.refused.push((key, with_cause(&error))),
            }
        }
        Ok(loaded)
    }
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unavailable { .. })
}

/// Returns true if the dump's state replaces the registry's, false if the registry's stays, and
/// `None` if that is not decided.
fn wins(document: &Document, found: &Document, merge: Option<Merge>) -> Option<bool> {
    let unversioned = |document: &Document| Document {
        version: 0,
        ..document.clone()
    };
    if unversioned(document) == unversioned(found) {
        return Some(false);
    }
    match merge {
        None | Some(Merge::Stop) => None,
        Some(Merge::Skip) => Some(false),
        Some(Merge::Newer) => Some(document.updated_at > found.updated_at),
        Some(Merge::Replace) => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Timestamp;

    #[test]
    fn merge_rule_decides_between_two_states() {
        let state = |body: &str, micros| {
            let key = DocumentKey::new("task", "7").unwrap();
            Document::new(key, Timestamp::from_micros(micros), body)
        };
        let mut found = state("registry", 5);
        found.version = 9;
        for (document, merge, expected) in [
            (state("registry", 5), None, Some(false)),
            (state("dump", 9), None, None),
            (state("dump", 9), Some(Merge::Stop), None),
            (state("dump", 9), Some(Merge::Skip), Some(false)),
            (state("dump", 1), Some(Merge::Replace), Some(true)),
            (state("dump", 9), Some(Merge::Newer), Some(true)),
            (state("dump", 5), Some(Merge::Newer), Some(false)),
        ] {
            assert_eq!(wins(&document, &found, merge), expected, "{merge:?}");
        }
    }
}
