//! Identifiers in paths.

use crate::error::Result;
use crate::image::ImageId;
use crate::service::not_found;

/// The identifier in a path. What cannot be one is the identifier of no image.
pub(super) fn image_id(text: &str) -> Result<ImageId> {
    text.parse().map_err(|_| not_found(text))
}
