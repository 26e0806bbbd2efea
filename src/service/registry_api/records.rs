//! Whole records with their version, for our own API servers.
//!
//! The API servers apply the rules of the image API themselves. These verbs therefore check only
//! that the caller is an administrator, and pass the call to the registry.

use std::sync::Arc;

use super::RegistryService;
use crate::error::Result;
use crate::image::{Caller, Image, ImageId, Query, Usage};
use crate::registry::{Record, RegistryStats, Version};
use crate::service::errors::forbidden;

impl RegistryService {
    /// Returns the record of an image.
    ///
    /// # Errors
    /// `Forbidden` for a caller that is not an administrator; those of the registry.
    pub async fn record(&self, caller: &Caller, id: &ImageId) -> Result<Option<Arc<Record>>> {
        only_admins(caller)?;
        self.catalog.registry.get(id).await
    }

    /// Adds a record.
    ///
    /// # Errors
    /// `Forbidden`; `Conflict` if the identifier exists.
    pub async fn insert_record(&self, caller: &Caller, image: Image) -> Result<Arc<Record>> {
        only_admins(caller)?;
        self.catalog.registry.insert(image).await
    }

    /// Replaces a record if its version is still `seen`.
    ///
    /// # Errors
    /// `Forbidden`; `Stale` if the record has changed.
    pub async fn replace_record(
        &self,
        caller: &Caller,
        image: Image,
        seen: Version,
    ) -> Result<Arc<Record>> {
        only_admins(caller)?;
        self.catalog.registry.replace(image, seen).await
    }

    /// Returns a page of records.
    ///
    /// # Errors
    /// `Forbidden`; `Invalid` if the marker names no image.
    pub async fn records(&self, caller: &Caller, query: &Query) -> Result<Vec<Arc<Record>>> {
        only_admins(caller)?;
        self.catalog.registry.list(query).await
    }

    /// Returns the number and bytes of an owner's images.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn usage_of(&self, caller: &Caller, owner: Option<&str>) -> Result<Usage> {
        only_admins(caller)?;
        self.catalog.registry.usage(owner).await
    }

    /// Returns the number of images by status.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn census(&self, caller: &Caller) -> Result<RegistryStats> {
        only_admins(caller)?;
        self.catalog.registry.check().await
    }
}

/// Read-only administrators are refused too: the verbs are for servers, and a server is never
/// read-only.
pub(super) fn only_admins(caller: &Caller) -> Result<()> {
    if caller.is_admin && !caller.read_only {
        return Ok(());
    }
    Err(forbidden("Records are for the API servers."))
}
