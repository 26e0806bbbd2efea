//! Uploads under this server's `node_name` that another process may run.
//!
//! A start ends the uploads of the previous process. In a shared registry the name alone does not
//! identify them: two servers may have been given the same name. An upload whose process has
//! certainly ended is ended at once. Any other is watched: a server writes the record of each
//! running upload every few seconds, so an upload whose record stays unchanged for several polls
//! has ended. `name_conflict_check.rs` polls.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::image::ImageId;
use crate::registry::{Record, Version};

/// The watched uploads.
#[derive(Debug, Default)]
pub(super) struct NameConflicts {
    suspects: Mutex<Vec<SuspectUpload>>,
}

/// An upload under this server's name that may have ended.
#[derive(Debug, Clone)]
pub(super) struct SuspectUpload {
    pub(super) image: ImageId,
    pub(super) upload: Uuid,
    pub(super) version: Version,
    /// Consecutive polls that found this version.
    pub(super) polls: u32,
    /// True if the record has changed since the start. Another server then runs the upload, and the
    /// upload is abandoned only after as many polls as any upload of another server.
    pub(super) has_changed: bool,
}

impl NameConflicts {
    /// Starts to watch the upload of a record.
    pub(super) fn watch(&self, record: &Record) {
        let Some(upload) = &record.image.upload else {
            return;
        };
        let suspect = SuspectUpload {
            image: record.image.id,
            upload: upload.id,
            version: record.version,
            polls: 0,
            has_changed: false,
        };
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.retain(|known| known.upload != suspect.upload);
        suspects.push(suspect);
    }

    /// Removes and returns all watched uploads, for a poll.
    pub(super) fn take(&self) -> Vec<SuspectUpload> {
        // The lock is not held during the poll, which waits for the registry.
        std::mem::take(&mut *self.suspects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds the uploads that remain watched after a poll.
    pub(super) fn put_back(&self, watched: Vec<SuspectUpload>) {
        let mut suspects = self.suspects.lock().unwrap_or_else(PoisonError::into_inner);
        suspects.extend(watched);
    }
}
