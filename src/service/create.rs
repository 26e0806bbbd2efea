//! Creating an image, with or without data.

use std::sync::Arc;

use super::Service;
use super::apply::{Purge, apply, check_fields, check_metadata_bytes, check_property_quota};
use super::attach_data::{BodyInfo, DataOffer, NextStep};
use super::clock::now;
use super::errors::authorize_any;
use super::upload_session::{DataSource, UploadData};
use crate::error::Result;
use crate::image::{Caller, Fields, Image, ImageId, ImageOperation, Properties, Status};
use crate::policy::Action;
use crate::registry::Record;

impl Service {
    /// Creates an image. Returns its record when the data of the request are durable. A copy from
    /// an external source continues in the background.
    ///
    /// A failure after the record is written leaves the record: `queued` if a format is missing,
    /// `killed` if the data differ from what the client has stated.
    ///
    /// # Errors
    /// `Invalid`, `Forbidden`; `NotFound` for a source that cannot be read; `Conflict` if the
    /// identifier exists; `TooLarge` past a quota; those of an upload.
    pub async fn create<S: DataSource>(
        &self,
        caller: &Caller,
        mut fields: Fields,
        data: Option<UploadData<S>>,
    ) -> Result<Arc<Record>> {
        let len = data.as_ref().and_then(|data| data.len_bytes);
        check_fields(&self.catalog.limits, &mut fields, len)?;
        self.check_may_create(caller, &mut fields, data.is_some())?;
        let named = self.sources.named(&fields)?;
        let store = self.stores.choose(fields.store.as_deref())?;
        let source = match named {
            Some(named) => Some(self.sources.measure(named).await?),
            None => None,
        };
        let body = data.as_ref().map(BodyInfo::of);
        let offer = DataOffer::of(&fields, body, source);
        let is_stated_empty = fields.size_bytes == Some(0);
        let mut image = new_image(caller, fields);
        check_metadata_bytes(None, &image)?;
        let next_step = match offer {
            // An image that is stated to be empty is complete.
            Ok(DataOffer::None) if is_stated_empty => {
                image.status = Status::Active;
                NextStep::Done
            }
            Ok(offer) => self.uploads.prepare(&mut image, offer, store),
            // Glance creates the image all the same.
            Err(several) => NextStep::Refuse(several),
        };
        // Again, because a location adds to the metadata.
        check_metadata_bytes(None, &image)?;
        self.uploads.quota.wait_for_removals(&image).await?;
        let record = self.uploads.write(image, None, &next_step).await?;
        let record = self.uploads.carry_out(next_step, record, data).await?;
        Ok(self.catalog.redact(caller, record))
    }

    fn check_may_create(&self, caller: &Caller, fields: &mut Fields, has_data: bool) -> Result<()> {
        let authorization = self.catalog.authorization();
        authorize_any(caller, ImageOperation::Create)?;
        authorization.enforce(Action::AddImage, caller, None)?;
        authorization.enforce_fields(caller, None, fields, has_data)?;
        let (none, new) = (Properties::new(), &mut fields.properties);
        authorization.protect_properties(caller, &none, Purge::Nothing, new)?;
        check_property_quota(&self.catalog.limits, &fields.properties)
    }
}

fn new_image(caller: &Caller, fields: Fields) -> Image {
    let id = fields.id.unwrap_or_else(ImageId::random);
    let mut image = Image::queued(id, now());
    image.owner = caller.owner.clone();
    apply(caller, fields, Purge::Nothing, &mut image);
    image
}
