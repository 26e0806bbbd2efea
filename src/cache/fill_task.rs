//! Carries out one fill: downloads an image into a file, verifies its MD5, and publishes it.
//!
//! If the MD5 is wrong, the image is downloaded a second time into a new file, because the store or
//! the network may have failed once. Readers keep waiting meanwhile: they never received the last
//! bytes of the wrong file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::fill::{Fill, FillOutcome, FillSource};
use super::fill_context::FillContext;
use super::image_cache::Cache;
use super::range_fetcher::{OpenedRange, RangeFetcher};
use super::range_plan::RangePlan;
use super::staged_file::StagedFile;
use crate::error::{Error, Result};
use crate::image::Md5Digest;
use crate::metrics::{self, FillResult};
use crate::transfer::{BLOCK_BYTES, BlockPool, PartialFile};

/// Interval at which readers are woken while a fill is slow; a fast one wakes them by its progress.
const WAKE_INTERVAL: Duration = Duration::from_millis(100);

/// Blocks that are read back from the file at a time for the hash.
const HASHED_BLOCKS: usize = 4;

/// Attempts to reserve space for the second download, and the wait between them. The first file
/// stays counted until its readers have closed it.
const RESERVE_ATTEMPTS: u32 = 100;
const RESERVE_WAIT: Duration = Duration::from_millis(50);

/// Carries out a fill. Its readers receive the outcome in any case, also if this future is dropped.
pub(super) async fn run_fill(cache: Cache, context: Rc<FillContext>, fill: Arc<Fill>) {
    let _guard = Guard {
        cache: cache.clone(),
        fill: Arc::clone(&fill),
    };
    let _counted = metrics::fill_begins();
    let result = match FillTask::new(cache, context, Arc::clone(&fill)) {
        Ok(fill) => fill.run().await,
        Err(error) => Err(error),
    };
    let took = fill.began.elapsed();
    let image_id = fill.source.image;
    let result = match result {
        Ok(FillOutcome::Cached) => {
            let (bytes, took_s) = (fill.source.size_bytes, took.as_secs_f64());
            tracing::info!(%image_id, bytes, took_s, "cached");
            FillResult::Kept
        }
        Ok(FillOutcome::NoSpace) => FillResult::NoRoom,
        Ok(FillOutcome::Discarded) => FillResult::Dropped,
        Err(error) => {
            tracing::error!(%image_id, ?error, "cannot cache an image");
            fill.fail(&error);
            FillResult::Failed
        }
    };
    metrics::fill_ended(result, took);
}

/// Unregisters a fill when it ends, also when its future is dropped in the middle.
struct Guard {
    cache: Cache,
    fill: Arc<Fill>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Unregistered first, so that a request after the failure starts another fill.
        self.cache.accounting().unregister_fill(&self.fill);
        self.fill.fail(&Error::internal(
            "a fill of the image cache was interrupted",
        ));
    }
}

/// A running fill.
struct FillTask {
    cache: Cache,
    context: Rc<FillContext>,
    fill: Arc<Fill>,
    fetcher: Rc<RangeFetcher>,
}

/// The result of one download.
enum Verification {
    Matches(Md5Digest),
    Differs,
}

impl FillTask {
    fn new(cache: Cache, context: Rc<FillContext>, fill: Arc<Fill>) -> Result<Self> {
        Ok(Self {
            fetcher: RangeFetcher::new(Rc::clone(&context), fill.source.clone())?,
            cache,
            context,
            fill,
        })
    }

    fn source(&self) -> &FillSource {
        &self.fill.source
    }

    async fn run(&self) -> Result<FillOutcome> {
        let Some(mut staged) = StagedFile::new(&self.cache, self.source().size_bytes).await else {
            self.fill.set_no_space();
            return Ok(FillOutcome::NoSpace);
        };
        let mut plan = self.fetcher.plan();
        // Opened before the readers are released: if the store refuses, its error becomes theirs.
        let first = self.fetcher.open_first(&mut plan).await?;
        let partial = PartialFile::new(Arc::clone(staged.file()), self.source().size_bytes);
        self.fill.set_receiving(&partial);
        let mut verification = self.download(&partial, &staged, plan, first).await?;
        if matches!(verification, Verification::Differs) {
            // Readers drop the wrong file here, and wait for the second one.
            partial.reset();
            drop(staged);
            staged = self.stage_again().await?;
            partial.restart(Arc::clone(staged.file()));
            let mut plan = self.fetcher.plan();
            let first = self.fetcher.open_first(&mut plan).await?;
            verification = self.download(&partial, &staged, plan, first).await?;
        }
        let Verification::Matches(digest) = verification else {
            let message =
                "the store's object does not match the registry: two downloads had a wrong MD5";
            return Err(Error::internal(message));
        };
        // Readers of the fill need not wait until the file is synced and renamed.
        self.fill.set_verified(&partial);
        let published = staged.publish(&self.fill, digest).await;
        let outcome = match published.map_err(Error::internal)? {
            true => FillOutcome::Cached,
            false => FillOutcome::Discarded,
        };
        self.fill.set_finished(&partial, outcome);
        Ok(outcome)
    }

    /// Creates the file of the second download, once the readers of the first file have closed it.
    async fn stage_again(&self) -> Result<StagedFile> {
        for _ in 0..RESERVE_ATTEMPTS {
            if let Some(staged) = StagedFile::new(&self.cache, self.source().size_bytes).await {
                return Ok(staged);
            }
            sleep(RESERVE_WAIT).await;
        }
        Err(Error::internal(
            "no space in the image cache for a second download of an image",
        ))
    }

    /// Downloads all bytes into the file and verifies their MD5.
    async fn download(
        &self,
        partial: &Arc<PartialFile>,
        staged: &StagedFile,
        plan: RangePlan,
        first: OpenedRange,
    ) -> Result<Verification> {
        let fetch = self.fetcher.fetch_all(partial, staged.file(), plan, first);
        let hash = self.hash(partial, staged.file());
        // Hashing while downloading: verification ends shortly after the last byte, not after a
        // second pass over the file.
        let both = async { tokio::try_join!(fetch, hash) };
        let ((), digest) = tokio::select! {
            both = both => both?,
            never = wake_readers(partial) => never,
        };
        match self.source().digest {
            Some(wanted) if wanted != digest => {
                metrics::integrity_failure();
                metrics::fill_ended(FillResult::Wrong, self.fill.began.elapsed());
                tracing::error!(image_id = %self.source().image, "the downloaded image has a wrong MD5");
                Ok(Verification::Differs)
            }
            _ => Ok(Verification::Matches(digest)),
        }
    }

    /// Hashes the file while it grows. The bytes are read back from the file, so that the hash
    /// covers exactly what readers are sent, disk errors included.
    async fn hash(&self, partial: &PartialFile, file: &Arc<File>) -> Result<Md5Digest> {
        let mut stream = self.context.hashes.stream();
        // Twice, so that one batch can be read while the other one is hashed.
        let blocks = BlockPool::new(2 * HASHED_BLOCKS);
        let mut position = 0;
        while position < partial.len() {
            // Ranges arrive in any order; the hash waits for the contiguous bytes after `position`.
            let end = partial.available_from(position).await;
            let most = (HASHED_BLOCKS * BLOCK_BYTES) as u64;
            let end = end.min(position + most);
            let (file, blocks) = (Arc::clone(file), blocks.clone());
            let read = move || read_back(&file, &blocks, position, end);
            let blocks_read = self.cache.blocking().run(read).await;
            for block in blocks_read.map_err(Error::internal)? {
                position += block.len() as u64;
                stream.push(block).await;
            }
        }
        stream.finish().await.map_err(Error::internal)
    }
}

/// Reads the bytes from `position` to `end` from the file. Blocks.
fn read_back(
    file: &File,
    blocks: &BlockPool,
    mut position: u64,
    end: u64,
) -> std::io::Result<Vec<Bytes>> {
    let mut read_blocks = Vec::new();
    while position < end {
        let most = usize::try_from(end - position).unwrap_or(BLOCK_BYTES);
        let mut block = blocks.take();
        let read = block.fill_with(|buffer| {
            let most = most.min(buffer.len());
            file.read_at(&mut buffer[..most], position)
        })?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        position += read as u64;
        read_blocks.push(block.freeze());
    }
    Ok(read_blocks)
}

/// Wakes readers at an interval, so that they receive bytes that trickle in. Never ends.
async fn wake_readers<T>(partial: &PartialFile) -> T {
    let mut tick = interval(WAKE_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        partial.wake_readers();
    }
}
