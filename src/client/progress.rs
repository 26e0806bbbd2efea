//! Progress reports of uploads and downloads. The library calls an observer, such as the progress
//! bar of the command line, for every chunk.

use std::fmt;
use std::sync::Arc;

/// Receives the progress of a transfer. Its methods are called from the transfer's task and must
/// not block.
pub trait ProgressObserver: Send + Sync {
    /// Counts `bytes` more transferred bytes.
    fn add(&self, bytes: u64);

    /// Sets the total, if known, and the bytes that are present already (of an earlier download).
    fn set(&self, total_bytes: Option<u64>, present_bytes: u64);
}

/// Reports to a shared observer, or to none.
#[derive(Clone, Default)]
pub struct ProgressReporter(Option<Arc<dyn ProgressObserver>>);

impl ProgressReporter {
    /// Reports to this observer.
    pub fn to(observer: Arc<dyn ProgressObserver>) -> Self {
        Self(Some(observer))
    }

    pub(super) fn add(&self, bytes: u64) {
        if let Some(observer) = &self.0 {
            observer.add(bytes);
        }
    }

    pub(super) fn set(&self, total_bytes: Option<u64>, present_bytes: u64) {
        if let Some(observer) = &self.0 {
            observer.set(total_bytes, present_bytes);
        }
    }
}

impl fmt::Debug for ProgressReporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProgressReporter")
            .field(&self.0.is_some())
            .finish()
    }
}
