//! The parts that background work needs, and the ownership of uploads.
//!
//! The other files of this folder add their work to [`Maintenance`]. Threads hold it weakly, so
//! that they end with the service.

use std::sync::{Arc, Mutex};

use super::cleaner::Cleaner;
use super::name_conflicts::NameConflicts;
use super::pending_deletes::PendingDeletes;
use super::unconfirmed_writes::UnconfirmedWrites;
use crate::cache::Cache;
use crate::image::{Image, Status, Timestamp, Upload};
use crate::registry::Registry;
use crate::service::active_uploads::ActiveUploads;
use crate::service::clock::{now, now_after};
use crate::service::limits::Limits;
use crate::store::Stores;

/// The work of an image server that no request waits for.
pub struct Maintenance {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) stores: Stores,
    pub(super) limits: Arc<Limits>,
    pub(super) active_uploads: ActiveUploads,
    pub(super) cleaner: Cleaner,
    pub(super) unconfirmed: Arc<UnconfirmedWrites>,
    pub(super) cache: Option<Cache>,
    pub(super) name_conflicts: NameConflicts,
    pub(super) pending_deletes: Mutex<PendingDeletes>,
    /// The time at which this process began.
    started_at: Timestamp,
}

impl Maintenance {
    pub(in crate::service) fn new(
        registry: Arc<dyn Registry>,
        stores: Stores,
        limits: Arc<Limits>,
        active_uploads: ActiveUploads,
        cleaner: Cleaner,
        unconfirmed: Arc<UnconfirmedWrites>,
        cache: Option<Cache>,
    ) -> Self {
        Self {
            registry,
            stores,
            limits,
            active_uploads,
            cleaner,
            unconfirmed,
            cache,
            name_conflicts: NameConflicts::default(),
            pending_deletes: Mutex::default(),
            started_at: now(),
        }
    }

    /// Returns true if only this server, or an earlier process of its name, can run the upload.
    pub(super) fn is_ours(&self, upload: &Upload) -> bool {
        // A registry that is not shared has one server, whatever name the record has.
        !self.registry.is_shared() || upload.is_of(&self.limits.node_name)
    }

    /// Returns true if the image waits for an upload of this server that does not run in this
    /// process. An image that waits for a copy is still `queued`.
    pub(super) fn is_interrupted(&self, image: &Image) -> bool {
        match (image.status, &image.upload) {
            (Status::Queued | Status::Saving, Some(upload)) => {
                self.is_ours(upload) && !self.active_uploads.has(&upload.id)
            }
            // Our servers always name the upload. In a shared registry, this image may belong to an
            // API server of Glance, which does not.
            (Status::Saving, None) => !self.registry.is_shared(),
            _ => false,
        }
    }

    /// Returns true if the image waits for an upload that this process began and that does not run.
    /// The registry's response to the write that began or ended the upload was lost.
    pub(super) fn has_lost_upload(&self, image: &Image) -> bool {
        let upload = image.upload.as_ref();
        // An earlier upload may still run in the process that has handed over to this one.
        upload.is_some_and(|upload| upload.started_at >= self.started_at)
            && self.is_interrupted(image)
    }
}

/// Returns the image with the status `killed`. The cleaner then removes the bytes of its upload.
pub(super) fn killed(image: &Image) -> Image {
    Image {
        status: Status::Killed,
        updated_at: now_after(image.updated_at),
        ..image.clone()
    }
}
