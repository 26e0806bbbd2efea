//! Records as they are: what a registry server does for API servers, which have the rules of
//! Glance themselves. For administrators.

use std::sync::Arc;

use crate::error::Result;
use crate::image::{Caller, Image, ImageId, Query, Usage};
use crate::registry::{Record, RegistryStats, Version};
use crate::service::{Service, forbidden};

impl Service {
    /// The record of an image.
    ///
    /// # Errors
    /// `Forbidden`; those of the registry, as in every verb here.
    pub async fn record(&self, caller: &Caller, id: &ImageId) -> Result<Option<Arc<Record>>> {
        only_admins(caller)?;
        self.registry.get(id).await
    }

    /// Adds a record.
    ///
    /// # Errors
    /// `Forbidden`; `Conflict` when the identifier is taken.
    pub async fn insert_record(&self, caller: &Caller, image: Image) -> Result<Arc<Record>> {
        only_admins(caller)?;
        self.registry.insert(image).await
    }

    /// Puts a record in the place of the one that was seen.
    ///
    /// # Errors
    /// `Forbidden`; `Stale` when it has changed since.
    pub async fn replace_record(
        &self,
        caller: &Caller,
        image: Image,
        seen: Version,
    ) -> Result<Arc<Record>> {
        only_admins(caller)?;
        self.registry.replace(image, seen).await
    }

    /// A page of records.
    ///
    /// # Errors
    /// `Forbidden`; `Invalid` when the marker names no image.
    pub async fn records(&self, caller: &Caller, query: &Query) -> Result<Vec<Arc<Record>>> {
        only_admins(caller)?;
        self.registry.list(query).await
    }

    /// What the images of an owner take up.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn usage_of(&self, caller: &Caller, owner: Option<&str>) -> Result<Usage> {
        only_admins(caller)?;
        self.registry.usage(owner).await
    }

    /// How many images there are.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn census(&self, caller: &Caller) -> Result<RegistryStats> {
        only_admins(caller)?;
        self.registry.check().await
    }
}

pub(super) fn only_admins(caller: &Caller) -> Result<()> {
    if caller.is_admin && !caller.read_only {
        return Ok(());
    }
    Err(forbidden("Records are for the API servers."))
}
