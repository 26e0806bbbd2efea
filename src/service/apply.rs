//! Applies the fields of a request to an image, and checks their limits.

use std::io;

use serde::Serialize;

use super::Limits;
use super::errors::{invalid, over_cap};
use crate::error::{Error, Kind, Result};
use crate::image::{Caller, Fields, Image, Properties};
use crate::registry::MAX_RECORD_BYTES;

/// Bytes of a record that are kept for fields that the service adds later: the upload, the location
/// and checksum of the data, and the times and saved properties of a deletion.
const SERVICE_FIELDS_BYTES: usize = 4 * 1024;

/// Most bytes that clients can write to an image's metadata, as JSON.
const MAX_METADATA_BYTES: usize = MAX_RECORD_BYTES - SERVICE_FIELDS_BYTES;

/// Completes the formats of a request and checks the fields that do not depend on the image.
pub(super) fn check_fields(limits: &Limits, fields: &mut Fields, len: Option<u64>) -> Result<()> {
    let formats = limits.formats.complete(fields);
    formats.map_err(|error| invalid(error.to_string()))?;
    let cap = limits.image_size_cap_bytes;
    if len.is_some_and(|len| len > cap) {
        return Err(over_cap(cap));
    }
    if fields.size_bytes.is_some_and(|size| size > cap) {
        return Err(invalid(format!(
            "Image size larger than the maximum of {cap} bytes."
        )));
    }
    Ok(())
}

/// The effect of an update on the properties that it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// Removes them.
    Unnamed,
    /// Keeps them.
    Nothing,
}

/// Sets the fields of an image that a request names.
pub(super) fn apply(caller: &Caller, fields: Fields, purge: Purge, image: &mut Image) {
    fields.name.apply(&mut image.name);
    fields.disk_format.apply(&mut image.disk_format);
    fields.container_format.apply(&mut image.container_format);
    fields.checksum.apply(&mut image.checksum);
    fields
        .virtual_size_bytes
        .apply(&mut image.virtual_size_bytes);
    // Glance ignores the owner in other callers' requests.
    if caller.is_admin {
        fields.owner.apply(&mut image.owner);
    }
    set(fields.size_bytes, &mut image.size_bytes);
    if let Some(is_public) = fields.is_public {
        image.visibility = image.visibility.with_is_public(is_public);
    }
    set(fields.protected, &mut image.protected);
    set(fields.min_disk_gb, &mut image.min_disk_gb);
    set(fields.min_ram_mb, &mut image.min_ram_mb);
    if purge == Purge::Unnamed {
        image.properties.clear();
    }
    image.properties.extend(fields.properties);
}

fn set<T>(value: Option<T>, field: &mut T) {
    if let Some(value) = value {
        *field = value;
    }
}

/// Refuses an image with more properties than the quota allows.
pub(super) fn check_property_quota(limits: &Limits, properties: &Properties) -> Result<()> {
    let quota = limits.property_quota;
    if properties.len() <= quota {
        return Ok(());
    }
    let attempted = properties.len();
    Err(Error::new(
        Kind::TooLarge,
        format!(
            "The limit has been exceeded on the number of allowed image properties. \
             Attempted: {attempted}, Maximum: {quota}"
        ),
    ))
}

/// Refuses metadata that would leave no bytes of the record for the fields of the service, so that
/// every image can be deleted. An image of an earlier release that is already larger may shrink.
pub(super) fn check_metadata_bytes(before: Option<&Image>, after: &Image) -> Result<()> {
    let bytes = metadata_bytes(after);
    if bytes <= MAX_METADATA_BYTES || before.is_some_and(|image| bytes <= metadata_bytes(image)) {
        return Ok(());
    }
    Err(Error::new(
        Kind::TooLarge,
        format!("The image's metadata have {bytes} bytes, more than {MAX_METADATA_BYTES}."),
    ))
}

/// Returns the size of a record as JSON, without the fields that only the service writes.
fn metadata_bytes(image: &Image) -> usize {
    let of_service = json_bytes(&image.upload).saturating_add(json_bytes(&image.trashed));
    json_bytes(image).saturating_sub(of_service)
}

fn json_bytes(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // Cannot fail: counting succeeds, and every key of an image is a string.
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

/// A writer that counts bytes.
struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
