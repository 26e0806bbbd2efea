//! One fill: from the origin into a file, verified, named.

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

/// How often readers of a slow fill are given what there is.
const NUDGE_EVERY: Duration = Duration::from_millis(100);

/// Bytes that are read back at a time for the hash, in blocks.
const HASHED_BLOCKS: usize = 4;

/// How long the readers of a wrong file have for letting go of it, before the second attempt
/// is given up for want of room.
const SECOND_ROOM_TRIES: u32 = 100;
const SECOND_ROOM_WAIT: Duration = Duration::from_millis(50);

/// Carries a fill out. Whatever happens, its readers are told.
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
            tracing::error!(%image_id, ?error, "an image could not be cached");
            fill.fail(&error);
            FillResult::Failed
        }
    };
    metrics::fill_ended(result, took);
}

/// Takes a fill off the books, also when it is cut off in the middle.
struct Guard {
    cache: Cache,
    fill: Arc<Fill>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.cache.accounting().unregister_fill(&self.fill);
        self.fill
            .fail(&Error::internal("a fill of the image cache was cut off"));
    }
}

/// A fill under way.
struct FillTask {
    cache: Cache,
    context: Rc<FillContext>,
    fill: Arc<Fill>,
    origin: Rc<RangeFetcher>,
}

/// What one attempt came to.
enum Verdict {
    Right(Md5Digest),
    Wrong,
}

impl FillTask {
    fn new(cache: Cache, context: Rc<FillContext>, fill: Arc<Fill>) -> Result<Self> {
        Ok(Self {
            origin: RangeFetcher::new(Rc::clone(&context), fill.source.clone())?,
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
        let mut plan = self.origin.plan();
        // Its answer is what the first readers wait for: their status is the origin's.
        let first = self.origin.open_first(&mut plan).await?;
        let growing = PartialFile::new(Arc::clone(staged.file()), self.source().size_bytes);
        self.fill.set_receiving(&growing);
        let mut verdict = self.attempt(&growing, &staged, plan, first).await?;
        if matches!(verdict, Verdict::Wrong) {
            growing.reset();
            drop(staged);
            staged = self.stage_again().await?;
            growing.restart(Arc::clone(staged.file()));
            let mut plan = self.origin.plan();
            let first = self.origin.open_first(&mut plan).await?;
            verdict = self.attempt(&growing, &staged, plan, first).await?;
        }
        let Verdict::Right(digest) = verdict else {
            let message =
                "the store's object is not what the registry says: its MD5 is another, twice";
            return Err(Error::internal(message));
        };
        // Readers of the fill do not wait for its name.
        self.fill.set_verified(&growing);
        let published = staged.publish(&self.fill, digest).await;
        let fetched = match published.map_err(Error::internal)? {
            true => FillOutcome::Cached,
            false => FillOutcome::Discarded,
        };
        self.fill.set_finished(&growing, fetched);
        Ok(fetched)
    }

    /// A file for the second attempt, once the readers of the first have let go of it.
    async fn stage_again(&self) -> Result<StagedFile> {
        for _ in 0..SECOND_ROOM_TRIES {
            if let Some(staged) = StagedFile::new(&self.cache, self.source().size_bytes).await {
                return Ok(staged);
            }
            sleep(SECOND_ROOM_WAIT).await;
        }
        Err(Error::internal("no room for a second attempt at an image"))
    }

    /// Gets all bytes into the file and says what they are.
    async fn attempt(
        &self,
        growing: &Arc<PartialFile>,
        staged: &StagedFile,
        plan: RangePlan,
        first: OpenedRange,
    ) -> Result<Verdict> {
        let fetched = self.origin.fetch_all(growing, staged.file(), plan, first);
        let hashed = self.hash(growing, staged.file());
        let both = async { tokio::try_join!(fetched, hashed) };
        let ((), digest) = tokio::select! {
            both = both => both?,
            never = nudge(growing) => never,
        };
        match self.source().digest {
            Some(wanted) if wanted != digest => {
                metrics::integrity_failure();
                metrics::fill_ended(FillResult::Wrong, self.fill.began.elapsed());
                tracing::error!(image_id = %self.source().image, "what was fetched has another MD5");
                Ok(Verdict::Wrong)
            }
            _ => Ok(Verdict::Right(digest)),
        }
    }

    /// The MD5 of the file's bytes, as they come. They are read back from the file: what is
    /// hashed is what readers are sent.
    async fn hash(&self, growing: &PartialFile, file: &Arc<File>) -> Result<Md5Digest> {
        let mut stream = self.context.hashes.stream();
        let blocks = BlockPool::new(2 * HASHED_BLOCKS);
        let mut position = 0;
        while position < growing.len() {
            let end = growing.available_from(position).await;
            let most = (HASHED_BLOCKS * BLOCK_BYTES) as u64;
            let end = end.min(position + most);
            let (file, blocks) = (Arc::clone(file), blocks.clone());
            let read = move || read_back(&file, &blocks, position, end);
            let pieces = self.cache.blocking().run(read).await;
            for piece in pieces.map_err(Error::internal)? {
                position += piece.len() as u64;
                stream.push(piece).await;
            }
        }
        stream.finish().await.map_err(Error::internal)
    }
}

fn read_back(
    file: &File,
    blocks: &BlockPool,
    mut position: u64,
    end: u64,
) -> std::io::Result<Vec<Bytes>> {
    let mut pieces = Vec::new();
    while position < end {
        let most = usize::try_from(end - position).unwrap_or(BLOCK_BYTES);
        let mut block = blocks.take();
        let read = block.fill_with(|room| {
            let most = most.min(room.len());
            file.read_at(&mut room[..most], position)
        })?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        position += read as u64;
        pieces.push(block.freeze());
    }
    Ok(pieces)
}

/// Gives readers what there is, now and then. Never ends.
async fn nudge<T>(growing: &PartialFile) -> T {
    let mut tick = interval(NUDGE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        growing.wake_readers();
    }
}
