//! One image's metadata.

use std::sync::Arc;

use super::{Service, not_found};
use crate::error::Result;
use crate::image::{Caller, ImageId, may_see};
use crate::registry::Record;

impl Service {
    /// The same as [`Service::show`], but only when it needs no waiting. `None` says
    /// nothing.
    pub fn show_at_hand(&self, caller: &Caller, id: &ImageId) -> Option<Arc<Record>> {
        let record = self.registry.at_hand(id)?;
        may_see(caller, &record.image).then_some(record)
    }

    /// The record of an image that the caller may see.
    ///
    /// # Errors
    /// `NotFound` when there is none, with the same words as when it is not for the caller.
    pub async fn show(&self, caller: &Caller, id: &ImageId) -> Result<Arc<Record>> {
        match self.registry.get(id).await? {
            Some(record) if may_see(caller, &record.image) => Ok(record),
            _ => Err(not_found(id)),
        }
    }
}
