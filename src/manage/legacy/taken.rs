//! What an old registry had.

use crate::image::Image;

/// What an old registry has.
#[derive(Debug, Default)]
pub(in super::super) struct Taken {
    /// In the order of their identifiers.
    pub(in super::super) images: Vec<Image>,
    /// In the order of the identifiers that the old registry has.
    pub(in super::super) losses: Vec<Loss>,
}

/// Something that cannot be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Loss {
    /// The image's identifier as the old registry has it.
    pub(in super::super) image: String,
    /// What, and why.
    pub(in super::super) what: String,
    /// Whether all of the image is.
    pub(in super::super) is_whole: bool,
}
