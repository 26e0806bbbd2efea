//! What an operator says about the file store.

use std::path::PathBuf;

/// How files are written (`filesystem_store_io`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileIo {
    /// Past the page cache where the file system can, through it where not.
    Auto,
    /// Past the page cache (O_DIRECT), or not at all.
    Direct,
    /// Through the page cache.
    Buffered,
}

/// What a file store needs to know.
#[derive(Debug, Clone)]
pub struct FileStoreOptions {
    /// The folder of the images; made when it is not there.
    pub folder: PathBuf,
    /// Permission bits of new files, exactly; without, what the umask leaves of 0666.
    pub file_mode: Option<u32>,
    /// How files are written.
    pub io: FileIo,
    /// Most bytes of one upload that wait for the disk.
    pub window_bytes: usize,
}
