//! The record of an image: the image as one write left it, and the number of that write.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use crate::image::Image;

/// The number of a write. For the record of an image, the count of writes to it, from 1.
pub type Version = u64;

/// An image as one write left it.
#[derive(Debug, Clone)]
pub struct Record {
    /// The image.
    pub image: Image,
    /// The number of the write.
    pub version: Version,
    /// See [`Record::rendered`].
    rendered: OnceLock<Box<[u8]>>,
    /// See [`Record::digest`]; computed on first use.
    digest: OnceLock<u64>,
}

impl AsRef<Image> for Record {
    fn as_ref(&self) -> &Image {
        &self.image
    }
}

impl Record {
    /// Returns the record of an image after the write with this number.
    pub fn new(image: Image, version: Version) -> Self {
        Self {
            image,
            version,
            rendered: OnceLock::new(),
            digest: OnceLock::new(),
        }
    }

    /// Returns a digest of the image, computed once.
    ///
    /// After a registry was restored from a backup, versions are assigned again, so another state
    /// of an image can have the version of one that was lost; its digest differs. The digest
    /// compares answers of one program and does not resist an attacker.
    pub fn digest(&self) -> u64 {
        *self.digest.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            // Serialization cannot fail: all map keys of an image are texts.
            let image = serde_json::to_vec(&self.image).unwrap_or_default();
            image.hash(&mut hasher);
            hasher.finish()
        })
    }

    /// Returns what `render` made of the image at the first call. An API keeps its most frequent
    /// response here: the bytes live as long as the record, so a change of the image, which
    /// makes a new record, never leaves stale ones. There is one slot, which belongs to the v1
    /// API (HEAD of an image); another API needs a slot of its own.
    pub fn rendered(&self, render: impl FnOnce(&Image) -> Box<[u8]>) -> &[u8] {
        self.rendered.get_or_init(|| render(&self.image))
    }
}

impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        (&self.image, self.version) == (&other.image, other.version)
    }
}
