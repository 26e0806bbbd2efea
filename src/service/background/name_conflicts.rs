//! Uploads under this server's `node_name` that another process may have under way.
//!
//! A start ends the uploads that the process before it has left. In a registry that servers
//! share, the name alone does not prove that: two servers may have been given one name. An
//! upload whose process certainly has ended is ended at once. Any other is watched: each server
//! writes the record of an upload under way every few seconds, so a record that stands still
//! over several looks belongs to an upload that has ended. `watch.rs` does the looking.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::image::ImageId;
use crate::registry::{Record, Version};

/// Uploads that are watched.
#[derive(Debug, Default)]
pub(in crate::service) struct NameConflicts {
    suspects: Mutex<Vec<SuspectUpload>>,
}

/// An upload of this name, which may have ended.
#[derive(Debug, Clone)]
pub(in crate::service) struct SuspectUpload {
    pub(in crate::service) image: ImageId,
    pub(in crate::service) upload: Uuid,
    pub(in crate::service) version: Version,
    /// Looks in a row that found this version.
    pub(in crate::service) looks: u32,
    /// Whether its record has changed since the start: then it is another server's, and needs
    /// to stand still for as long as any other server's.
    pub(in crate::service) has_changed: bool,
}

impl NameConflicts {
    /// Begins to watch the upload of a record.
    pub(in crate::service) fn watch(&self, record: &Record) {
        let Some(upload) = &record.image.upload else {
            return;
        };
        let suspect = SuspectUpload {
            image: record.image.id,
            upload: upload.id,
            version: record.version,
            looks: 0,
            has_changed: false,
        };
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.retain(|known| known.upload != suspect.upload);
        suspects.push(suspect);
    }

    /// Takes out what is watched, for a look.
    pub(in crate::service) fn take(&self) -> Vec<SuspectUpload> {
        std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts back what is watched further.
    pub(in crate::service) fn put_back(&self, left: Vec<SuspectUpload>) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.extend(left);
    }
}
