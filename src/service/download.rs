//! One image's data.

use super::{Service, forbidden};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, Status};
use crate::metrics::{self, Direction, Transfer};
use crate::registry::Record;
use crate::store::Wanted;
use crate::transfer::Payload;

/// Data on their way to a client.
#[derive(Default)]
pub struct Download {
    /// The data.
    pub payload: Payload,
    /// To be told of the bytes as they leave, and kept until the last has.
    pub transfer: Option<Transfer>,
}

impl Service {
    /// How many bytes a download of the image has.
    ///
    /// # Errors
    /// `NotFound` for an image without data to serve; `Forbidden` for a deactivated one.
    pub fn downloadable_bytes(&self, image: &Image) -> Result<u64> {
        match image.status {
            Status::Active => Ok(image.data.as_ref().map_or(0, |data| data.size_bytes)),
            Status::Deactivated => Err(forbidden(
                "The requested image has been deactivated. Image data download is forbidden.",
            )),
            _ => Err(Error::new(
                Kind::NotFound,
                format!("Image {} is not active", image.id),
            )),
        }
    }

    /// `len` bytes of the image's data from `offset` on; both lie within the data.
    ///
    /// # Errors
    /// `NotFound` when the store has lost the data; `Internal` when they are damaged;
    /// `Unavailable` when the store cannot be asked.
    pub async fn download(&self, record: &Record, offset: u64, len: u64) -> Result<Download> {
        let Some(data) = record.image.data.as_ref().filter(|_| len > 0) else {
            return Ok(Download::default());
        };
        let wanted = Wanted {
            offset,
            len,
            object_bytes: data.size_bytes,
        };
        let store = self.stores.of(&data.location)?;
        let payload = store.open(&data.location, wanted).await?;
        let transfer = metrics::transfer_begins(Direction::Download, store.name());
        Ok(Download {
            payload,
            transfer: Some(transfer),
        })
    }
}
