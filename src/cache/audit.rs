//! Access to cached files for the scrubber, which compares them with the MD5 in their names.

use std::fs::File;
use std::io;

use super::entry_name::EntryName;
use super::image_cache::Cache;
use crate::image::{ImageId, Md5Digest};

/// A cached file to compare.
#[derive(Debug, Clone)]
pub struct CachedFile(EntryName);

impl CachedFile {
    /// Returns the image's identifier.
    pub fn image(&self) -> ImageId {
        self.0.image
    }

    /// Returns the MD5 that the file must have.
    pub fn digest(&self) -> Md5Digest {
        self.0.digest
    }
}

impl Cache {
    /// Returns the cached files, ordered by image identifier.
    pub fn cached_files(&self) -> Vec<CachedFile> {
        let mut files: Vec<_> = {
            let accounting = self.accounting();
            accounting
                .entries()
                .map(|entry| CachedFile(entry.name.clone()))
                .collect()
        };
        files.sort_by_key(CachedFile::image);
        files
    }

    /// Opens a cached file with a descriptor of its own, or returns `None` if the image has left
    /// the cache. Blocks.
    ///
    /// # Errors
    /// The error of open(2).
    pub fn open_cached_file(&self, cached: &CachedFile) -> io::Result<Option<File>> {
        match self.folder().open_blocking(&cached.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(Some),
        }
    }

    /// Drops a cached image whose bytes do not match its MD5. Readers that have its file open
    /// continue; no later request gets it.
    pub fn drop_corrupt(&self, cached: &CachedFile) {
        self.drop_damaged(&cached.0);
    }
}
