//! The state of one fill, shared by the task that downloads an image and the requests that read it.
//!
//! The stages only advance: requested, receiving, verified, and one of the final stages. A
//! `watch` channel publishes them, so any number of requests can wait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{Error, Kind, Result};
use crate::image::{ImageId, Location, Md5Digest};
use crate::transfer::{PartialFile, PartialSlice};

/// The image to download, as the registry describes it.
#[derive(Debug, Clone)]
pub struct FillSource {
    /// The image's identifier.
    pub image: ImageId,
    /// The location of its data.
    pub location: Location,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its MD5, if the registry has one.
    pub digest: Option<Md5Digest>,
}

/// A requested, running or ended fill.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) source: FillSource,
    pub(super) began: Instant,
    stage: watch::Sender<Stage>,
}

/// The stage of a fill.
#[derive(Debug, Clone)]
enum Stage {
    /// Requested; the store has not responded yet.
    Requested,
    /// The store sends the data.
    Receiving(Arc<PartialFile>),
    /// All bytes arrived and were verified; the file is being published.
    Verified(Arc<PartialFile>),
    /// All bytes arrived and were verified, with this outcome.
    Finished(Arc<PartialFile>, FillOutcome),
    /// The image does not fit: its readers open the store instead.
    NoSpace,
    /// The fill failed, and its readers received the error.
    Failed(Kind, String),
}

/// The outcome of a fill that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillOutcome {
    /// The image is cached.
    Cached,
    /// The image does not fit into the cache and was not downloaded.
    NoSpace,
    /// The file was discarded: the image was removed from the cache meanwhile, or a successor
    /// process owns the folder.
    Discarded,
}

/// The progress of a running fill.
#[derive(Debug, Clone, Copy)]
pub struct FillProgress {
    /// The image's identifier.
    pub image: ImageId,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Bytes that have arrived.
    pub available_bytes: u64,
    /// Time since the fill was requested.
    pub elapsed: Duration,
}

impl Fill {
    pub(super) fn new(source: FillSource) -> Arc<Self> {
        Arc::new(Self {
            source,
            began: Instant::now(),
            // Set with `send_replace`, which works without receivers too: later readers subscribe.
            stage: watch::Sender::new(Stage::Requested),
        })
    }

    /// Waits until the store sends data, and returns a slice for a reader, or `None` if the image
    /// does not fit into the cache.
    pub(super) async fn slice(&self, offset: u64, len: u64) -> Result<Option<PartialSlice>> {
        let stage = self
            .wait_for(|stage| !matches!(stage, Stage::Requested))
            .await?;
        match stage {
            Stage::Receiving(partial) | Stage::Verified(partial) | Stage::Finished(partial, _) => {
                Ok(Some(partial.slice(offset, len)))
            }
            Stage::Failed(kind, message) => Err(Error::new(kind, message)),
            Stage::Requested | Stage::NoSpace => Ok(None),
        }
    }

    /// Returns true if a reader that begins at `offset` need not wait for other bytes first: it
    /// begins at the image's first byte, or at one that has arrived.
    pub(super) fn covers(&self, offset: u64) -> bool {
        let has_arrived = match &*self.stage.borrow() {
            Stage::Requested => false,
            Stage::Receiving(partial) => partial.has_byte(offset),
            Stage::Verified(_) | Stage::Finished(..) | Stage::NoSpace | Stage::Failed(..) => true,
        };
        offset == 0 || has_arrived
    }

    /// Waits until the fill has ended.
    ///
    /// # Errors
    /// The error of the fill.
    pub(super) async fn outcome(&self) -> Result<FillOutcome> {
        let is_end = |stage: &Stage| match stage {
            Stage::Requested | Stage::Receiving(_) | Stage::Verified(_) => false,
            Stage::Finished(..) | Stage::NoSpace | Stage::Failed(..) => true,
        };
        match self.wait_for(is_end).await? {
            Stage::Finished(_, outcome) => Ok(outcome),
            Stage::Failed(kind, message) => Err(Error::new(kind, message)),
            _ => Ok(FillOutcome::NoSpace),
        }
    }

    async fn wait_for(&self, condition: impl FnMut(&Stage) -> bool) -> Result<Stage> {
        let mut stages = self.stage.subscribe();
        let stage = stages.wait_for(condition).await.map_err(Error::internal)?;
        Ok(stage.clone())
    }

    /// Publishes the file that receives the data.
    pub(super) fn set_receiving(&self, partial: &Arc<PartialFile>) {
        self.stage
            .send_replace(Stage::Receiving(Arc::clone(partial)));
    }

    /// Releases the last bytes to the readers, after the MD5 was verified.
    pub(super) fn set_verified(&self, partial: &Arc<PartialFile>) {
        partial.complete();
        self.stage
            .send_replace(Stage::Verified(Arc::clone(partial)));
    }

    /// Publishes the outcome.
    pub(super) fn set_finished(&self, partial: &Arc<PartialFile>, outcome: FillOutcome) {
        let finished = Stage::Finished(Arc::clone(partial), outcome);
        self.stage.send_replace(finished);
    }

    /// Ends the fill because the image does not fit.
    pub(super) fn set_no_space(&self) {
        self.stage.send_replace(Stage::NoSpace);
    }

    /// Ends the fill with an error, unless it has ended already.
    pub(super) fn fail(&self, error: &Error) {
        self.stage.send_if_modified(|stage| {
            match stage {
                Stage::Receiving(partial) => partial.fail(error),
                // Readers of a verified file have all bytes; only those that wait for the outcome
                // receive the error.
                Stage::Requested | Stage::Verified(_) => {}
                _ => return false,
            }
            *stage = Stage::Failed(error.kind(), error.message().to_owned());
            true
        });
    }

    /// Returns the progress.
    pub(super) fn progress(&self) -> FillProgress {
        let available_bytes = match &*self.stage.borrow() {
            Stage::Receiving(partial) | Stage::Verified(partial) | Stage::Finished(partial, _) => {
                partial.available_bytes()
            }
            Stage::Requested | Stage::NoSpace | Stage::Failed(..) => 0,
        };
        FillProgress {
            image: self.source.image,
            size_bytes: self.source.size_bytes,
            available_bytes,
            elapsed: self.began.elapsed(),
        }
    }
}
