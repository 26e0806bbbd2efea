//! The parts that store image data: registry, hash engine, buffers and quota.
//!
//! `attach_data.rs` starts uploads, `upload.rs` runs them, and `copy.rs` runs uploads from external
//! sources. [`Uploads`] is shared, because an upload continues as a task of its own after its
//! request was cancelled.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Semaphore;

use super::Limits;
use super::active_uploads::ActiveUploads;
use super::background::{Cleaner, UnconfirmedWrites};
use super::quota::Quota;
use super::upload_session::SessionOptions;
use crate::error::{Error, Kind};
use crate::image::{ImageId, OnFailure};
use crate::md5::HashEngine;
use crate::registry::Registry;
use crate::store::Store;
use crate::transfer::BlockPool;

/// Stores the data of images.
pub(super) struct Uploads {
    pub(super) registry: Arc<dyn Registry>,
    pub(super) hashes: HashEngine,
    pub(super) blocks: BlockPool,
    pub(super) limits: Arc<Limits>,
    pub(super) quota: Quota,
    pub(super) active: ActiveUploads,
    pub(super) cleaner: Cleaner,
    pub(super) unconfirmed: Arc<UnconfirmedWrites>,
    /// Bounds the copies that run at the same time.
    pub(super) copies: Semaphore,
}

impl Uploads {
    /// Returns the options of a session that stores its data in `store`.
    pub(super) fn session_options(
        &self,
        store: Arc<dyn Store>,
        on_failure: OnFailure,
    ) -> SessionOptions<'_> {
        SessionOptions {
            active: &self.active,
            node_name: &self.limits.node_name,
            store,
            on_failure,
        }
    }

    /// Has the cleaner check an image if the outcome of a write is unknown. The record may name an
    /// upload that never begins.
    pub(super) fn clean_if_unconfirmed(&self, id: ImageId, error: &Error) {
        if matches!(error.kind(), Kind::Unavailable { .. }) {
            self.cleaner.clean(id);
            // A remote registry may apply the write even after the cleaner has read the record.
            // The heartbeat therefore has the cleaner check again, for some time.
            if self.registry.is_shared() {
                self.unconfirmed.note(id, Instant::now());
            }
        }
    }
}
