//! The plan of one upload to S3, and of each of its parts.

use super::etag_check::{ExpectedMd5, PartHash};
use super::object::S3Object;
use super::part_buffer::PartBuffer;
use super::part_memory::PartMemory;
use super::part_sizes::PartSizes;
use super::streamed_part::StreamedPart;
use crate::error::{Error, Kind, Result};
use crate::image::{Location, Upload};
use crate::md5::HashEngine;

/// The plan of one upload.
pub(super) struct UploadPlan {
    pub(super) object: S3Object,
    /// The upload, whose identifier is stored with the object.
    pub(super) upload: Upload,
    /// The location of the committed object.
    pub(super) location: Location,
    /// True if a missing bucket is created.
    pub(super) creates_bucket: bool,
    /// The largest image that is sent in one request, in bytes.
    pub(super) single_put_bytes: u64,
    pub(super) sizes: PartSizes,
    /// Parts that are sent at the same time.
    pub(super) parts_at_once: usize,
    pub(super) memory: PartMemory,
    /// Computes the MD5s of parts; `None` if they are not compared.
    pub(super) hashes: Option<HashEngine>,
}

/// The part that takes the next bytes.
pub(super) struct CurrentPart {
    pub(super) data: PartData,
    pub(super) hash: Option<PartHash>,
    /// True if the part will certainly have its planned length, so that it can be streamed.
    pub(super) has_known_length: bool,
}

/// The bytes of a part.
pub(super) enum PartData {
    /// Buffered until it is full, with the MD5 to compare.
    Buffered(PartBuffer, Option<ExpectedMd5>),
    /// Being sent.
    Streamed(StreamedPart),
}

impl UploadPlan {
    /// Plans a part by its number, which starts at 1, and the bytes that are still to arrive; `None`
    /// if the image's size is unknown.
    ///
    /// # Errors
    /// `TooLarge` if S3 allows no further part.
    pub(super) fn part(&self, number: u64, expected: Option<u64>) -> Result<CurrentPart> {
        let sizes = &self.sizes;
        let planned = sizes.of(number).ok_or_else(too_many_parts)?;
        let left = expected.filter(|left| *left > 0);
        let whole = left.filter(|left| number == 1 && *left <= self.single_put_bytes);
        let len = match left {
            Some(left) => whole.unwrap_or(planned.min(left)),
            None => planned,
        };
        // An image in one part is compared with the MD5 of the whole image.
        let hashes = self.hashes.as_ref().filter(|_| whole.is_none());
        let (hash, expected_md5) = hashes.map(PartHash::new).unzip();
        let sendable_bytes = left.is_none().then(|| sizes.sendable(len));
        let memory = self.memory.part(sendable_bytes);
        Ok(CurrentPart {
            data: PartData::Buffered(PartBuffer::new(len, memory), expected_md5),
            hash,
            has_known_length: left.is_some(),
        })
    }
}

impl CurrentPart {
    /// Returns true if the part is not being sent yet.
    pub(super) fn is_buffered(&self) -> bool {
        matches!(self.data, PartData::Buffered(..))
    }

    /// Returns true if the part has its full length.
    pub(super) fn is_full(&self) -> bool {
        match &self.data {
            PartData::Buffered(part, _) => part.is_full(),
            PartData::Streamed(streamed) => streamed.is_full(),
        }
    }
}

fn too_many_parts() -> Error {
    Error::new(
        Kind::TooLarge,
        "The image is too large for the image storage media.",
    )
    .because("it needs more than 10,000 parts; raise s3_store_upload_memory for larger parts")
}
