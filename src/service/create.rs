//! Registering an image, with its data or without.

use std::sync::Arc;

use super::apply::{Purge, apply, check_fields, check_metadata_bytes, check_property_quota};
use super::external_source::{MeasuredSource, check_one_source};
use super::upload::{DataSource, UploadData, UploadSession, missing_format, wrong_content_type};
use super::{Service, authorize_any, now};
use crate::error::{Kind, Result};
use crate::image::{Caller, Fields, Image, ImageId, ImageOperation, Properties, Status};
use crate::policy::Action;
use crate::registry::Record;
use crate::store::Store;

impl Service {
    /// Registers an image; with data, takes them in and returns when they are safe; with a
    /// source to copy from, begins to copy and returns.
    ///
    /// A failure after the image is registered leaves a record that tells so: `queued` when
    /// the formats are missing, `killed` when the data were not what was promised.
    ///
    /// # Errors
    /// `Invalid`, `Forbidden`, `NotFound` for a source that cannot be read, `Conflict` for an
    /// identifier that is taken, `TooLarge` past a quota, and those of an upload.
    pub async fn create<S: DataSource>(
        self: &Arc<Self>,
        caller: &Caller,
        mut fields: Fields,
        data: Option<UploadData<S>>,
    ) -> Result<Arc<Record>> {
        let len = data.as_ref().and_then(|data| data.len_bytes);
        check_fields(&self.limits, &mut fields, len)?;
        authorize_any(caller, ImageOperation::Create)?;
        self.enforce(Action::AddImage, caller, None)?;
        self.enforce_fields(caller, None, &fields, data.is_some())?;
        let none = Properties::new();
        self.protect_properties(caller, &none, Purge::Nothing, &mut fields.properties)?;
        check_property_quota(&self.limits, &fields.properties)?;
        let named = self.external_source(&fields)?;
        let store = self.stores.choose(fields.store.as_deref())?;
        let source = match named {
            Some(named) => Some(self.measure(named).await?),
            None => None,
        };
        let one_source = check_one_source(&fields, data.is_some());
        // An image that is stated to be empty has all its data already.
        let is_empty = fields.size_bytes == Some(0);
        let mut image = self.new_image(caller, fields);
        check_metadata_bytes(None, &image)?;
        if let Err(several) = one_source {
            self.registry.insert(image).await?;
            return Err(several);
        }
        let record = match (data, source) {
            (Some(data), _) => self.create_with_data(image, store, data).await,
            (None, Some(source)) => self.create_from(image, store, source).await,
            (None, None) => {
                if is_empty {
                    image.status = Status::Active;
                }
                self.registry.insert(image).await
            }
        };
        Ok(self.redact(caller, record?))
    }

    async fn create_with_data<S: DataSource>(
        self: &Arc<Self>,
        mut image: Image,
        store: Arc<dyn Store>,
        data: UploadData<S>,
    ) -> Result<Arc<Record>> {
        if let Some(missing) = missing_format(&image) {
            self.registry.insert(image).await?;
            return Err(missing);
        }
        if !data.is_octets {
            image.status = Status::Killed;
            self.registry.insert(image).await?;
            return Err(wrong_content_type());
        }
        // Reserved and saving in one durable write, before the first byte is taken.
        let mut killed = image.clone();
        let session = UploadSession::new(self, store, &mut image, data.len_bytes);
        self.await_room_for(&image).await?;
        if let Err(refusal) = self.registry.insert(image).await {
            self.clean_if_unknown(killed.id, &refusal);
            if refusal.kind() == Kind::TooLarge {
                killed.status = Status::Killed;
                // Where there is no room for the record either, none is left.
                let _ = self.registry.insert(killed).await;
            }
            return Err(refusal);
        }
        self.upload(session, data).await
    }

    async fn create_from(
        self: &Arc<Self>,
        mut image: Image,
        store: Arc<dyn Store>,
        source: MeasuredSource,
    ) -> Result<Arc<Record>> {
        source.state_size(&mut image);
        match self.attach(&mut image, source, store) {
            Ok(copy) => {
                check_metadata_bytes(None, &image)?;
                self.await_room_for(&image).await?;
                let id = image.id;
                let inserted = self.registry.insert(image).await;
                let record = inserted.inspect_err(|error| self.clean_if_unknown(id, error))?;
                copy.into_iter().for_each(|copy| self.copy(copy));
                Ok(record)
            }
            Err(refusal) => {
                self.registry.insert(image).await?;
                Err(refusal)
            }
        }
    }

    fn new_image(&self, caller: &Caller, fields: Fields) -> Image {
        let id = fields.id.unwrap_or_else(ImageId::random);
        let mut image = Image::queued(id, now());
        image.owner = caller.owner.clone();
        apply(caller, fields, Purge::Nothing, &mut image);
        image
    }
}
