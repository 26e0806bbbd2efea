//! The disk engine that makes blocking calls on threads.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::transfer::BlockingPool;

/// A file written by blocking calls on other threads.
#[derive(Clone)]
pub struct ThreadsFile {
    file: Arc<File>,
    blocking: BlockingPool,
}

impl ThreadsFile {
    pub(super) fn new(file: Arc<File>, blocking: BlockingPool) -> Self {
        Self { file, blocking }
    }

    pub(super) async fn write_all_at(&self, data: Bytes, offset: u64) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        let write = move || file.write_all_at(&data, offset);
        self.blocking.run(write).await
    }

    pub(super) async fn sync(&self) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        self.blocking.run(move || file.sync_all()).await
    }
}
