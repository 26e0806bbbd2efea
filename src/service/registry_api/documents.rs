//! Access to the registry's documents for API servers, which are administrators.

use std::sync::Arc;

use super::RegistryService;
use super::records::only_admins;
use crate::error::Result;
use crate::image::Caller;
use crate::registry::{Document, DocumentKey, DocumentQuery, Version};

impl RegistryService {
    /// Returns a document.
    ///
    /// # Errors
    /// `Forbidden`; those of the registry, as in every verb here.
    pub async fn document(
        &self,
        caller: &Caller,
        key: &DocumentKey,
    ) -> Result<Option<Arc<Document>>> {
        only_admins(caller)?;
        self.catalog.registry.get_document(key).await
    }

    /// Writes a document if it still has the version that was seen.
    ///
    /// # Errors
    /// `Forbidden`; `Conflict` or `Stale` if it has another version.
    pub async fn put_document(
        &self,
        caller: &Caller,
        document: Document,
        seen: Version,
    ) -> Result<Arc<Document>> {
        only_admins(caller)?;
        self.catalog.registry.put_document(document, seen).await
    }

    /// Deletes a document if it still has the version that was seen.
    ///
    /// # Errors
    /// `Forbidden`; `Stale` if it has another version.
    pub async fn delete_document(
        &self,
        caller: &Caller,
        key: &DocumentKey,
        seen: Version,
    ) -> Result<()> {
        only_admins(caller)?;
        self.catalog.registry.delete_document(key, seen).await
    }

    /// Returns one page of documents.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn documents(
        &self,
        caller: &Caller,
        query: &DocumentQuery,
    ) -> Result<Vec<Arc<Document>>> {
        only_admins(caller)?;
        self.catalog.registry.list_documents(query).await
    }
}
