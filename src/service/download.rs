//! Reading an image's data, from the cache or from its store.
//!
//! Data of another server are compared with the checksum of the record as they pass, if the whole
//! image is read.

use super::Service;
use super::errors::forbidden;
use crate::cache::FillSource;
use crate::error::{Error, Kind, Result};
use crate::image::{Checksum, Image, ImageData, ImageId, Status};
use crate::metrics::{self, Direction, Transfer};
use crate::registry::Record;
use crate::store::ObjectRange;
use crate::transfer::{Payload, RangeReader};

/// The data of one response.
#[derive(Default)]
pub struct Download {
    /// The bytes.
    pub payload: Payload,
    /// Counts the bytes that are sent. Must live until the last of them is.
    pub transfer: Option<Transfer>,
}

impl Service {
    /// Returns the number of bytes that a download of the image has.
    ///
    /// # Errors
    /// `NotFound` for an image that is not active; `Forbidden` for a deactivated one.
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

    /// Opens `len` bytes of the image's data from `offset`. The range must lie within the data.
    ///
    /// # Errors
    /// `NotFound` if the store has lost the data; `Internal` if the data are damaged;
    /// `Unavailable` if the store does not respond.
    pub async fn download(&self, record: &Record, offset: u64, len: u64) -> Result<Download> {
        let Some(data) = record.image.data.as_ref().filter(|_| len > 0) else {
            return Ok(Download::default());
        };
        if let Some(since) = record.image.damaged_since {
            return Err(Error::internal(format!(
                "the data of image {} have not matched their checksum since {since} and are not \
                 served",
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
        // A cached copy of a file of this node would only cost space.
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
            // Files of this node are compared by the auditor, not by every download: that would
            // cost the zero-copy path. Data from another server are compared here, if all of them
            // pass.
            Payload::Remote(remote) if len == data.size_bytes => {
                Payload::Remote(Box::new(self.verified(*remote, data)))
            }
            payload => payload,
        };
        Ok(Download {
            payload,
            transfer: Some(transfer()),
        })
    }

    /// Returns the same bytes with a check of their MD5. The last bytes are held back until the
    /// check has passed, so a client never completes a download of wrong data.
    fn verified(&self, remote: RangeReader, data: &ImageData) -> RangeReader {
        let checksum = data.checksum.as_ref();
        match checksum.and_then(|checksum| checksum.digest()) {
            Some(digest) if self.catalog.limits.verify_downloads => {
                let window_bytes = self.catalog.limits.upload_window_bytes;
                remote.with_digest(self.hashes.stream_with_window(window_bytes), digest)
            }
            _ => remote,
        }
    }
}

/// Returns the description by which the cache fetches an image.
pub(super) fn cache_source(image: ImageId, data: &ImageData) -> FillSource {
    let digest = data.checksum.as_ref().and_then(Checksum::digest);
    FillSource {
        image,
        location: data.location().clone(),
        size_bytes: data.size_bytes,
        digest,
    }
}
