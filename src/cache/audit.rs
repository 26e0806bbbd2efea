//! Comparing kept images with the MD5 in their names.

use std::fs::File;
use std::io;

use super::entry_name::EntryName;
use super::image_cache::Cache;
use crate::image::{ImageId, Md5Digest};

/// A kept image that is to be compared.
#[derive(Debug, Clone)]
pub struct CachedFile(EntryName);

impl CachedFile {
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
    pub fn cached_files(&self) -> Vec<CachedFile> {
        let mut kept: Vec<_> = {
            let accounting = self.accounting();
            accounting
                .kept()
                .map(|kept| CachedFile(kept.name.clone()))
                .collect()
        };
        kept.sort_by_key(CachedFile::image);
        kept
    }

    /// Opens the file of a kept image anew; `None` when the image is not kept any more. Blocks.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open_cached_file(&self, kept: &CachedFile) -> io::Result<Option<File>> {
        match self.folder().open_kept(&kept.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Drops a kept image whose bytes are not what they were. Readers of its file are not
    /// stopped; no other request gets it.
    pub fn drop_corrupt(&self, kept: &CachedFile) {
        self.drop_damaged(&kept.0);
    }
}
