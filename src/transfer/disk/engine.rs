//! The choice between the engines, and the surface they share.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{threads, uring};
use crate::transfer::BlockingPool;

/// Which engine moves file data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoBackend {
    /// The kernel's ring, through tokio-uring.
    Uring,
    /// Blocking calls on a bounded set of threads.
    Threads,
}

impl IoBackend {
    /// The word of the option `io_backend` and of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            IoBackend::Uring => "uring",
            IoBackend::Threads => "threads",
        }
    }
}

/// The engine as a worker uses it. With [`IoBackend::Uring`] its futures must be polled on
/// a tokio-uring runtime.
#[derive(Debug, Clone)]
pub struct Disk {
    backend: IoBackend,
    blocking: BlockingPool,
}

impl Disk {
    /// An engine of this kind; `blocking` is for what a ring has no operation for.
    pub fn new(backend: IoBackend, blocking: BlockingPool) -> Self {
        Self { backend, blocking }
    }

    /// Which engine it is.
    pub fn backend(&self) -> IoBackend {
        self.backend
    }

    /// The threads for calls that may block.
    pub fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }

    /// A file that was opened for writing, in the hands of this engine.
    pub fn file(&self, file: File) -> DiskFile {
        match self.backend {
            IoBackend::Uring => DiskFile::Uring(uring::RingFile::new(file)),
            IoBackend::Threads => DiskFile::Threads(threads::ThreadsFile::new(
                Arc::new(file),
                self.blocking.clone(),
            )),
        }
    }
}

/// An open file in the hands of an engine. Cheap to clone; clones are the same file.
///
/// An operation that was begun always completes, also when nobody waits for it any more.
#[derive(Clone)]
pub enum DiskFile {
    /// In the ring's hands.
    Uring(uring::RingFile),
    /// In the threads' hands.
    Threads(threads::ThreadsFile),
}

impl DiskFile {
    /// Writes all of `data` at a byte offset.
    ///
    /// # Errors
    /// Those of pwrite(2).
    pub async fn write_all_at(&self, data: Bytes, offset: u64) -> io::Result<()> {
        match self {
            DiskFile::Uring(file) => file.write_all_at(data, offset).await,
            DiskFile::Threads(file) => file.write_all_at(data, offset).await,
        }
    }

    /// Waits until data and size are on the device. A failure is final: the kernel forgets
    /// which pages it could not write, so a second attempt would succeed without them.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub async fn sync(&self) -> io::Result<()> {
        match self {
            DiskFile::Uring(file) => file.sync().await,
            DiskFile::Threads(file) => file.sync().await,
        }
    }
}
