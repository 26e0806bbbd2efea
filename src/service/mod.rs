//! The verbs of the Image service, one a file, and the rules of Glance behind them.
//!
//! No header and no status code is known here: every door, of whatever API version, calls
//! the same verbs and gets the same answers.

mod active_uploads;
mod apply;
mod authorization;
mod background;
mod cache_admin;
mod chunker;
mod copy;
mod create;
mod delete;
mod download;
mod external_source;
mod list;
mod members;
mod modify;
mod quota;
mod registry_api;
mod show;
#[cfg(test)]
mod tests;
mod update;
mod upload;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use self::background::{NameConflicts, PendingDeletes, UnconfirmedWrites};
use crate::cache::Cache;
use crate::error::{Error, Kind, Result};
use crate::image::{
    Caller, Conditions, FormatRules, Image, ImageOperation, OwnerLimits, Refusal, SourceRules,
    Timestamp, Validators, check_access, check_caller,
};
use crate::md5::HashEngine;
use crate::policy::Rules;
use crate::registry::{Registry, RegistryStats};
use crate::store::Stores;
use crate::transfer::BlockPool;

pub use active_uploads::ActiveUploads;
pub use apply::Purge;
pub use background::{
    AuditOptions, Auditor, AuditorError, Cleaner, CleanerError, Cleanup, CleanupQueue, Heartbeat,
    HeartbeatError, Recovered, Scrubbed, Scrubber, ScrubberError, ScrubberReceiver, prefetch,
};
pub use download::Download;
pub use list::{ListRequest, Page, RedactedRecord};
pub use modify::modify;
pub use upload::{DataSource, UploadData};

/// What an operator allows.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Default))]
pub struct Limits {
    /// The name of this server in the records of its uploads.
    pub node_name: String,
    /// Largest image, in bytes.
    pub image_size_cap_bytes: u64,
    /// Most properties of an image.
    pub property_quota: usize,
    /// Most tenants an image is shared with.
    pub member_quota: usize,
    /// What the images of one owner may take up.
    pub owner: OwnerLimits,
    /// Images on a page when nobody asks for a number.
    pub default_page: usize,
    /// Most images on a page.
    pub largest_page: usize,
    /// Whether the data of a deleted image wait for the scrubber.
    pub delayed_delete: bool,
    /// How long they wait for it.
    pub scrub_after: Duration,
    /// Images that are scrubbed at a time.
    pub scrubs: usize,
    /// Bytes of an upload that may wait for hash and store.
    pub upload_window_bytes: usize,
    /// Whether data from other servers are compared with the checksum of the record on
    /// their way to a client.
    pub verify_downloads: bool,
    /// Which formats there are.
    pub formats: FormatRules,
    /// What clients may name as the source of an image's data.
    pub source_rules: SourceRules,
    /// Most copies under way at a time; others wait.
    pub copies: usize,
    /// Least bytes a second that the source of a copy must send; zero for any.
    pub copy_min_rate_bytes: u64,
}

/// Everything the verbs need. Shared by all workers.
pub struct Service {
    registry: Arc<dyn Registry>,
    stores: Stores,
    hashes: HashEngine,
    blocks: BlockPool,
    limits: Limits,
    rules: ArcSwap<Rules>,
    active_uploads: ActiveUploads,
    unconfirmed_writes: UnconfirmedWrites,
    name_conflicts: NameConflicts,
    pending_deletes: Mutex<PendingDeletes>,
    copies: Semaphore,
    cleaner: Cleaner,
    cache: Option<Cache>,
    /// Whether this process takes uploads in. A registry server does not: the uploads in its
    /// records belong to the API servers that ask it.
    takes_uploads: bool,
    /// When this process began.
    began: Timestamp,
}

impl Service {
    /// The service over its parts.
    pub fn new(
        registry: Arc<dyn Registry>,
        stores: Stores,
        hashes: HashEngine,
        blocks: BlockPool,
        limits: Limits,
        cleaner: Cleaner,
    ) -> Self {
        Self {
            registry,
            stores,
            hashes,
            blocks,
            copies: Semaphore::new(limits.copies),
            limits,
            rules: ArcSwap::default(),
            active_uploads: ActiveUploads::default(),
            unconfirmed_writes: UnconfirmedWrites::default(),
            name_conflicts: NameConflicts::default(),
            pending_deletes: Mutex::default(),
            cleaner,
            cache: None,
            takes_uploads: true,
            began: now(),
        }
    }

    /// With images of other servers kept near.
    pub fn with_cache(mut self, cache: Option<Cache>) -> Self {
        self.cache = cache;
        self
    }

    /// Of a registry server: no upload in a record is one of this process.
    pub fn without_uploads(mut self) -> Self {
        self.takes_uploads = false;
        self
    }

    /// The images that are kept near.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// What an operator allows.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The uploads under way.
    pub fn active_uploads(&self) -> &ActiveUploads {
        &self.active_uploads
    }

    /// Who removes things.
    pub fn cleaner(&self) -> &Cleaner {
        &self.cleaner
    }

    /// Whether images can be read and written, and how many there are.
    ///
    /// # Errors
    /// `Unavailable` with the reason when they cannot.
    pub async fn check(&self) -> Result<RegistryStats> {
        self.registry.check().await
    }
}

/// Refuses what the caller may do with no image, before one is looked for.
fn authorize_any(caller: &Caller, operation: ImageOperation) -> Result<()> {
    check_caller(caller, operation).map_err(|refusal| refused(refusal, ""))
}

/// Refuses what the caller may not do with this image.
fn authorize(caller: &Caller, operation: ImageOperation, image: &Image) -> Result<()> {
    check_access(caller, operation, image).map_err(|refusal| refused(refusal, image.id))
}

/// Refuses a change of an image of which a condition is false (RFC 9110, 13.1).
fn meets(image: &Image, conditions: &Conditions) -> Result<()> {
    if conditions.permits_change(Validators::of(image)) {
        return Ok(());
    }
    let message = "The image is not the one that the request's conditions name.";
    Err(Error::new(Kind::PreconditionFailed, message))
}

/// A refusal in words: those of a hidden image are those of one that is not there.
fn refused(refusal: Refusal, id: impl std::fmt::Display) -> Error {
    match refusal {
        Refusal::Hidden => not_found(id),
        Refusal::Forbidden => forbidden("You do not own this image."),
        Refusal::ReadOnly => forbidden("Read-only access"),
        Refusal::NoTenant => Error::new(Kind::Unauthenticated, "No authenticated user"),
    }
}

/// The time now, and later than `before`: a change is always seen as one.
fn now_after(before: Timestamp) -> Timestamp {
    now().max(Timestamp::from_micros(before.as_micros() + 1))
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// There is no such image, or none that whoever asks may know of.
pub fn not_found(id: impl std::fmt::Display) -> Error {
    let message = format!("Image with identifier {id} not found");
    Error::new(Kind::NotFound, message)
}

fn forbidden(message: impl Into<String>) -> Error {
    Error::new(Kind::Forbidden, message)
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Kind::Invalid, message)
}
