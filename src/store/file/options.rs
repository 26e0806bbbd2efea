//! Options of the file store.

use std::path::PathBuf;

/// How files are written (`filesystem_store_io`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileIo {
    /// With O_DIRECT if the file system supports it, otherwise through the page cache.
    Auto,
    /// With O_DIRECT, past the page cache; an error if the file system does not support it.
    Direct,
    /// Through the page cache.
    Buffered,
}

/// Options of the file store.
#[derive(Debug, Clone)]
pub struct FileStoreOptions {
    /// The folder of the images; created if it does not exist.
    pub folder: PathBuf,
    /// Exact permission bits of new files; `None` for 0666 minus the umask.
    pub file_mode: Option<u32>,
    /// How files are written.
    pub io: FileIo,
    /// The most bytes of one upload that wait for the disk.
    pub window_bytes: usize,
}
