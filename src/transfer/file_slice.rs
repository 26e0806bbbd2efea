//! A range of an open file, as stores and cache return it for a download.

use std::fs::File;
use std::sync::Arc;

/// A range of an open file.
#[derive(Debug, Clone)]
pub struct FileSlice {
    /// The file.
    pub file: Arc<File>,
    /// Offset of the range in bytes.
    pub offset: u64,
    /// Length of the range in bytes.
    pub len: u64,
}
