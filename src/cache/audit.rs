//! Comparing kept images with the MD5 in their names.

use std::fs::File;
use std::io;

use super::books::Cache;
use super::name::EntryName;
use crate::image::{ImageId, Md5Digest};

/// A kept image that is to be compared.
#[derive(Debug, Clone)]
pub struct Kept(EntryName);

impl Kept {
    /// The image.
    pub fn image(&self) -> ImageId {
        self.0.image
    }

    /// The MD5 that its bytes must have.
    pub fn digest(&self) -> Md5Digest {
        self.0.digest
    }
}

impl Cache {
    /// The kept images, in the order of their identifiers.
    pub fn kept_images(&self) -> Vec<Kept> {
        let mut kept: Vec<_> = {
            let shelf = self.shelf();
            shelf.kept().map(|kept| Kept(kept.name.clone())).collect()
        };
        kept.sort_by_key(Kept::image);
        kept
    }

    /// Opens the file of a kept image anew; `None` when the image is not kept any more. Blocks.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open_kept(&self, kept: &Kept) -> io::Result<Option<File>> {
        match self.folder().open_kept(&kept.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Drops a kept image whose bytes are not what they were. Readers of its file are not
    /// stopped; no other request gets it.
    pub fn drop_wrong(&self, kept: &Kept) {
        self.drop_damaged(&kept.0);
    }
}
