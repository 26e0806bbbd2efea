//! The records in etcd that this release cannot read: damaged ones, and those that a newer release
//! has written.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::Version;
use super::keys::UnreadableRecord;
use crate::image::ImageId;
use crate::metrics;

/// Maximum number of records per list that get a log line each.
const MAX_LOGGED: usize = 100;

/// The images, with the versions of their records. Shared by the registry's thread and the threads
/// that serve requests.
#[derive(Debug, Default)]
pub(super) struct UnreadableRecords {
    records: Mutex<BTreeMap<ImageId, Version>>,
}

impl UnreadableRecords {
    /// Returns the images in the order of their identifiers.
    pub(super) fn ids(&self) -> Vec<ImageId> {
        self.records().keys().copied().collect()
    }

    /// Replaces all records by the unreadable ones of a new list.
    pub(super) fn replace_all(&self, unread: Vec<UnreadableRecord>) {
        self.records().clear();
        let count = unread.len();
        for (number, unread) in unread.into_iter().enumerate() {
            self.put(unread, number < MAX_LOGGED);
        }
        if count > MAX_LOGGED {
            tracing::error!(
                count,
                "more records in etcd cannot be read than are named above"
            );
        }
        self.count();
    }

    /// Adds one record.
    pub(super) fn add(&self, unread: UnreadableRecord) {
        self.put(unread, true);
        self.count();
    }

    /// Removes an image of whose record a later version was read.
    pub(super) fn remove(&self, id: &ImageId) {
        if self.records().remove(id).is_some() {
            tracing::info!(image_id = %id, "a record in etcd can be read again");
            self.count();
        }
    }

    fn put(&self, unread: UnreadableRecord, is_logged: bool) {
        let known = unread
            .id
            .and_then(|id| self.records().insert(id, unread.version));
        if is_logged && known != Some(unread.version) {
            tracing::error!(
                key = unread.key,
                version = unread.version,
                reason = unread.reason,
                "a record in etcd cannot be read by this release; its image is not served"
            );
        }
    }

    fn count(&self) {
        metrics::registry_unreadable(self.records().len());
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<ImageId, Version>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
