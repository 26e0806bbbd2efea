//! Image identifiers in paths, for all APIs.

use crate::error::Result;
use crate::image::ImageId;
use crate::service::not_found;

/// Parses the identifier in a path. A malformed one is reported as that of a missing image, as in
/// Glance.
pub(super) fn image_id(text: &str) -> Result<ImageId> {
    text.parse().map_err(|_| not_found(text))
}
