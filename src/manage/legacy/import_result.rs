//! The images of an old registry, and what of them is lost.

use crate::image::Image;

/// The converted images of an old registry.
#[derive(Debug, Default)]
pub(in super::super) struct LegacyImages {
    /// Sorted by identifier.
    pub(in super::super) images: Vec<Image>,
    /// Sorted by the identifier in the old registry.
    pub(in super::super) losses: Vec<Loss>,
}

/// A part of an image, or an image, that cannot be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Loss {
    /// The identifier in the old registry.
    pub(in super::super) image: String,
    /// The lost part and the reason.
    pub(in super::super) what: String,
    /// True if the whole image is lost.
    pub(in super::super) is_whole: bool,
}
