//! Access to image records under the caller's permissions. The image service and the registry
//! API both build on it.
//!
//! `show.rs`, `list.rs` and `members.rs` add the verbs that need records only. Verbs that touch
//! image data belong to [`Service`](super::Service).

use std::sync::Arc;

use super::Limits;
use super::authorization::Authorization;
use super::errors::not_found;
use crate::error::Result;
use crate::image::{Caller, ImageId, can_see};
use crate::policy::Action;
use crate::registry::{Record, Registry, RegistryStats};

/// Image records, and the rules that decide who may see and change them.
pub struct Catalog {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) authorization: Authorization,
    pub(super) limits: Arc<Limits>,
}

impl Catalog {
    /// Creates a catalog over a registry, with the default policy.
    pub fn new(registry: Arc<dyn Registry>, limits: Arc<Limits>) -> Self {
        Self {
            registry,
            authorization: Authorization::default(),
            limits,
        }
    }

    /// Returns the policy and the property protection.
    pub fn authorization(&self) -> &Authorization {
        &self.authorization
    }

    /// Returns the operator's limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Checks that the registry can be read and written. Returns the number of images by status.
    ///
    /// # Errors
    /// `Unavailable` with the reason if it cannot.
    pub async fn check(&self) -> Result<RegistryStats> {
        self.registry.check().await
    }

    /// Returns the record of an image if it exists and the caller can see it.
    pub(super) async fn find_visible(
        &self,
        caller: &Caller,
        id: &ImageId,
    ) -> Result<Option<Arc<Record>>> {
        let record = self.registry.get(id).await?;
        Ok(record.filter(|record| can_see(caller, &record.image)))
    }

    /// Returns the record of an image that the caller can see and on which the policy allows all
    /// these actions.
    ///
    /// # Errors
    /// `Forbidden` by the policy, also if the image does not exist; else `NotFound`.
    pub(super) async fn find_permitted(
        &self,
        actions: &[Action],
        caller: &Caller,
        id: &ImageId,
    ) -> Result<Arc<Record>> {
        let record = self.find_visible(caller, id).await?;
        let image = record.as_ref().map(|record| &record.image);
        for action in actions {
            self.authorization.enforce(*action, caller, image)?;
        }
        record.ok_or_else(|| not_found(id))
    }

    /// Returns the record without the properties that the caller may not read.
    pub(super) fn redact(&self, caller: &Caller, record: Arc<Record>) -> Arc<Record> {
        self.authorization.redact(caller, record)
    }
}
