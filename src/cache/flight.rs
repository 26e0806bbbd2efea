//! A fill, as its readers see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::error::{Error, Kind, Result};
use crate::image::{ImageId, Location, Md5Digest};
use crate::transfer::{PartialFile, PartialSlice};

/// An image at its origin, as the registry knows it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The image.
    pub image: ImageId,
    /// Where its bytes are.
    pub location: Location,
    /// How many there are.
    pub size_bytes: u64,
    /// Their MD5, where it is known.
    pub digest: Option<Md5Digest>,
}

/// A fill that was asked for.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) source: Source,
    pub(super) began: Instant,
    stage: watch::Sender<Stage>,
}

/// How far it is.
#[derive(Debug, Clone)]
enum Stage {
    /// Nobody knows yet whether it will be.
    Asked,
    /// The origin sends.
    Writing(Arc<PartialFile>),
    /// Its bytes are complete and right; it is getting its name.
    Landed(Arc<PartialFile>),
    /// Its bytes are complete and right, and this became of it.
    Ended(Arc<PartialFile>, Fetched),
    /// There is no room: everybody goes to the origin.
    NoRoom,
    /// It failed. Whoever has its file has been told.
    Failed(Kind, String),
}

/// What became of an image that was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It is kept.
    Kept,
    /// It was not fetched: there was no room.
    NoRoom,
    /// It is not kept, since it was forgotten meanwhile or the folder is a successor's.
    Dropped,
}

/// What a fill under way has to say.
#[derive(Debug, Clone, Copy)]
pub struct FillProgress {
    /// The image.
    pub image: ImageId,
    /// Its size.
    pub size_bytes: u64,
    /// How much of it is there.
    pub available_bytes: u64,
    /// How long it has been under way.
    pub took: Duration,
}

impl Flight {
    pub(super) fn new(source: Source) -> Arc<Self> {
        Arc::new(Self {
            source,
            began: Instant::now(),
            stage: watch::Sender::new(Stage::Asked),
        })
    }

    /// Waits until the origin sends, and gives a part to a reader; `None` when the image
    /// finds no room.
    pub(super) async fn slice(&self, offset: u64, len: u64) -> Result<Option<PartialSlice>> {
        let stage = self
            .wait_for(|stage| !matches!(stage, Stage::Asked))
            .await?;
        match stage {
            Stage::Writing(growing) | Stage::Landed(growing) | Stage::Ended(growing, _) => {
                Ok(Some(growing.slice(offset, len)))
            }
            Stage::Failed(kind, message) => Err(Error::new(kind, message)),
            Stage::Asked | Stage::NoRoom => Ok(None),
        }
    }

    /// Whether a reader that begins at `offset` goes with the fill: that is at the image's
    /// first byte, or at one that is there.
    pub(super) fn has(&self, offset: u64) -> bool {
        let is_there = match &*self.stage.borrow() {
            Stage::Asked => false,
            Stage::Writing(growing) => growing.has_byte(offset),
            Stage::Landed(_) | Stage::Ended(..) | Stage::NoRoom | Stage::Failed(..) => true,
        };
        offset == 0 || is_there
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> Result<Fetched> {
        let is_end = |stage: &Stage| match stage {
            Stage::Asked | Stage::Writing(_) | Stage::Landed(_) => false,
            Stage::Ended(..) | Stage::NoRoom | Stage::Failed(..) => true,
        };
        match self.wait_for(is_end).await? {
            Stage::Ended(_, fetched) => Ok(fetched),
            Stage::Failed(kind, message) => Err(Error::new(kind, message)),
            _ => Ok(Fetched::NoRoom),
        }
    }

    async fn wait_for(&self, is_so: impl FnMut(&Stage) -> bool) -> Result<Stage> {
        let mut stages = self.stage.subscribe();
        let stage = stages.wait_for(is_so).await.map_err(Error::internal)?;
        Ok(stage.clone())
    }

    /// The origin sends.
    pub(super) fn takes_off(&self, growing: &Arc<PartialFile>) {
        self.stage.send_replace(Stage::Writing(Arc::clone(growing)));
    }

    /// All bytes are there and right.
    pub(super) fn lands(&self, growing: &Arc<PartialFile>) {
        growing.complete();
        self.stage.send_replace(Stage::Landed(Arc::clone(growing)));
    }

    /// It is known what became of it.
    pub(super) fn ends(&self, growing: &Arc<PartialFile>, fetched: Fetched) {
        let ended = Stage::Ended(Arc::clone(growing), fetched);
        self.stage.send_replace(ended);
    }

    /// There is no room for it.
    pub(super) fn finds_no_room(&self) {
        self.stage.send_replace(Stage::NoRoom);
    }

    /// It has failed, if it has not ended otherwise.
    pub(super) fn fails(&self, error: &Error) {
        self.stage.send_if_modified(|stage| {
            match stage {
                Stage::Writing(growing) => growing.fail(error),
                Stage::Asked | Stage::Landed(_) => {}
                _ => return false,
            }
            *stage = Stage::Failed(error.kind(), error.message().to_owned());
            true
        });
    }

    /// How far it is.
    pub(super) fn progress(&self) -> FillProgress {
        let available_bytes = match &*self.stage.borrow() {
            Stage::Writing(growing) | Stage::Landed(growing) | Stage::Ended(growing, _) => {
                growing.available_bytes()
            }
            Stage::Asked | Stage::NoRoom | Stage::Failed(..) => 0,
        };
        FillProgress {
            image: self.source.image,
            size_bytes: self.source.size_bytes,
            available_bytes,
            took: self.began.elapsed(),
        }
    }
}
