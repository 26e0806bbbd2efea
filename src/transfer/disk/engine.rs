//! The common interface of the two disk engines.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::{threads, uring};
use crate::transfer::BlockingPool;

/// The kind of a disk engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoBackend {
    /// io_uring, through tokio-uring.
    Uring,
    /// Blocking calls on a bounded set of threads.
    Threads,
}

impl IoBackend {
    /// Returns the value of the option `io_backend` and of the metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            IoBackend::Uring => "uring",
            IoBackend::Threads => "threads",
        }
    }
}

/// A disk engine. With [`IoBackend::Uring`], its futures must be polled on a tokio-uring runtime.
#[derive(Debug, Clone)]
pub struct Disk {
    backend: IoBackend,
    blocking: BlockingPool,
}

impl Disk {
    /// Creates an engine. `blocking` runs the calls that have no io_uring operation.
    pub fn new(backend: IoBackend, blocking: BlockingPool) -> Self {
        Self { backend, blocking }
    }

    /// Returns the kind of the engine.
    pub fn backend(&self) -> IoBackend {
        self.backend
    }

    /// Returns the threads for blocking calls.
    pub fn blocking(&self) -> &BlockingPool {
        &self.blocking
    }

    /// Wraps a file that was opened for writing.
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

/// An open file of a disk engine. Cheap to clone; clones share the file.
///
/// An operation that was started always completes, even if its future is dropped.
#[derive(Clone)]
pub enum DiskFile {
    /// Written through io_uring.
    Uring(uring::RingFile),
    /// Written on threads.
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

    /// Waits until data and size are on the device. A failure is final: the kernel marks the pages
    /// that it could not write as clean, so a second fsync would succeed without them.
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
