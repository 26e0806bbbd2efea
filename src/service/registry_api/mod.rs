//! The verbs of a registry server (`glance-registry`): image records for API servers, and no image
//! data.
//!
//! [`RegistryService`] adds to [`Catalog`] the verbs that only a registry serves. Glance's own API
//! servers use `images.rs` (create, update and delete by fields); our API servers use `records.rs`
//! (whole records with their version).

mod checks;
mod documents;
mod images;
mod records;

use std::sync::Arc;

use super::catalog::Catalog;

/// The verbs of a registry server. It has no store, no cache and no background work: the API
/// servers that use it own the uploads in its records and remove the data of deleted images.
pub struct RegistryService {
    catalog: Arc<Catalog>,
}

impl RegistryService {
    /// Creates the service over a catalog.
    pub fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog }
    }

    /// Returns the verbs that registry and image API have in common.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }
}
