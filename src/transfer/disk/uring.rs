//! The engine of the kernel's ring.
//!
//! Files only: a tokio-uring socket loses bytes when a read is given up. A file operation
//! that is given up is completed by the kernel with its buffer kept alive, but its file
//! descriptor may leak; so each runs in a task of its own that nobody aborts.

use std::fs::File;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use tokio::task::JoinHandle;

/// The kernel, or the container around it, refuses io_uring.
#[derive(Debug, thiserror::Error)]
#[error("this system refuses io_uring")]
pub struct NoUring(#[from] pub io::Error);

/// Whether this system lets us have a ring.
///
/// # Errors
/// [`NoUring`] with what the system said: EPERM under a seccomp profile or
/// `kernel.io_uring_disabled`, ENOSYS on an old kernel.
pub fn probe() -> Result<(), NoUring> {
    // tokio_uring::start would panic; building the runtime returns what went wrong.
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

/// Waits for an operation's own task; dropping the wait leaves the task running.
async fn finish(task: JoinHandle<io::Result<()>>) -> io::Result<()> {
    match task.await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}
