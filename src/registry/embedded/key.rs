//! The address of one item in the journal and in sled: the record of an image, or a document.

use std::fmt;

use super::super::documents::DocumentKey;
use crate::image::ImageId;

/// An image's identifier or a document's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Image(ImageId),
    Document(DocumentKey),
}

impl Key {
    /// Parses the form that [`fmt::Display`] writes. The two kinds cannot be confused: the key of
    /// a document has a slash and an image's identifier has none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.parse() {
            Ok(id) => Some(Self::Image(id)),
            Err(_) => DocumentKey::parse(text).map(Self::Document),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(id) => id.fmt(f),
            Self::Document(key) => key.fmt(f),
        }
    }
}
