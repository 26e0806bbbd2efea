//! How far a transfer has come.

use std::fmt;
use std::sync::Arc;

/// Something that is told of bytes as they move.
pub trait ProgressObserver: Send + Sync {
    /// So many more bytes have moved.
    fn add(&self, bytes: u64);

    /// The whole is so many bytes, and so many of them are there.
    fn set(&self, total_bytes: Option<u64>, present_bytes: u64);
}

/// A shared observer, or none.
#[derive(Clone, Default)]
pub struct ProgressReporter(Option<Arc<dyn ProgressObserver>>);

impl ProgressReporter {
    /// Tells this observer.
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
        f.write_str(if self.0.is_some() {
            "ProgressReporter"
        } else {
            "-"
        })
    }
}
