//! One image's data.

use super::{Service, forbidden};
use crate::cache::FillSource;
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Image, ImageData, ImageId, Status};
use crate::metrics::{self, Direction, Transfer};
use crate::registry::Record;
use crate::store::ObjectRange;
use crate::transfer::{Payload, RangeReader};

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
        if image.status == Status::Deactivated {
            return Err(forbidden(
                "The requested image has been deactivated. Image data download is forbidden.",
            ));
        }
        let message = || format!("Image {} is not active", image.id);
        let size_bytes = image.served_bytes();
        size_bytes.ok_or_else(|| Error::new(Kind::NotFound, message()))
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
        if let Some(since) = record.image.damaged_since {
            return Err(Error::internal(format!(
                "the data of image {} are known since {since} not to match their checksum, and \
                 are not served",
                record.image.id
            )));
        }
        let wanted = ObjectRange {
            offset,
            len,
            object_bytes: data.size_bytes,
        };
        let store = self.stores.for_location(data.location())?;
        let transfer = || {
            metrics::transfer_begins(
                Direction::Download,
                store.name(),
                record.image.id,
                Some(len),
            )
        };
        if let Some(cache) = self.cache.as_ref().filter(|_| !store.is_local())
            && let source = cache_source(record.image.id, data)
            && let Some(payload) = cache.open_image(&source, offset, len).await?
        {
            return Ok(Download {
                payload,
                transfer: Some(transfer().from_cache()),
            });
        }
        let payload = match store.open(data.location(), wanted).await? {
            // A file is in this node's own hands; what crosses a network is checked on its
            // way, if all of it does.
            Payload::Remote(remote) if len == data.size_bytes => {
                Payload::Remote(Box::new(self.checked(*remote, data)))
            }
            payload => payload,
        };
        Ok(Download {
            payload,
            transfer: Some(transfer()),
        })
    }

    /// The same bytes, of which the last are kept back until all are known to be right.
    fn checked(&self, remote: RangeReader, data: &ImageData) -> RangeReader {
        let checksum = data.checksum.as_ref();
        match checksum.and_then(|checksum| checksum.digest()) {
            Some(digest) if self.limits.verify_downloads => {
                let window_bytes = self.limits.upload_window_bytes;
                remote.with_digest(self.hashes.stream_with_window(window_bytes), digest)
            }
            _ => remote,
        }
    }
}

/// What the cache has to know to fetch an image.
pub(super) fn cache_source(image: ImageId, data: &ImageData) -> FillSource {
    let digest = data.checksum.as_ref().and_then(Checksum::digest);
    FillSource {
        image,
        location: data.location().clone(),
        size_bytes: data.size_bytes,
        digest,
    }
}
