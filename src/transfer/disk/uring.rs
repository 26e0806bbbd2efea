//! The disk engine that uses io_uring.
//!
//! It is used for files only: a tokio-uring socket loses bytes when a read is cancelled. When the
//! future of a file operation is dropped, the kernel completes the operation and the buffer stays
//! valid, but the file descriptor may leak. Each operation therefore runs in a task of its own,
//! which is never aborted.

use std::fs::File;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use tokio::task::JoinHandle;

/// The kernel, or the container around it, refuses io_uring.
#[derive(Debug, thiserror::Error)]
#[error("this system refuses io_uring")]
pub struct NoUring(#[from] pub io::Error);

/// Checks that this system permits io_uring.
///
/// # Errors
/// [`NoUring`] with the system's error: EPERM under a seccomp profile or
/// `kernel.io_uring_disabled`, ENOSYS on an old kernel.
pub fn probe() -> Result<(), NoUring> {
    // `tokio_uring::start` would panic. Building the runtime returns the error.
    tokio_uring::Runtime::new(tokio_uring::builder().entries(8))?;
    Ok(())
}

/// A file written through the ring of the thread it is used on.
#[derive(Clone)]
pub struct RingFile {
    file: Rc<tokio_uring::fs::File>,
}

impl RingFile {
    pub(super) fn new(file: File) -> Self {
        Self {
            file: Rc::new(tokio_uring::fs::File::from_std(file)),
        }
    }

    pub(super) async fn write_all_at(&self, data: Bytes, offset: u64) -> io::Result<()> {
        let file = Rc::clone(&self.file);
        let write = tokio_uring::spawn(async move { file.write_all_at(data, offset).await.0 });
        finish(write).await
    }

    pub(super) async fn sync(&self) -> io::Result<()> {
        let file = Rc::clone(&self.file);
        finish(tokio_uring::spawn(async move { file.sync_all().await })).await
    }
}

/// Waits for the task of an operation. Dropping this future does not abort the task.
async fn finish(task: JoinHandle<io::Result<()>>) -> io::Result<()> {
    match task.await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}
