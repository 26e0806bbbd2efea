//! One fill: from the origin into a file, verified, named.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::books::{Cache, now_us};
use super::flight::{Flight, Source};
use super::plan::{Piece, Plan};
use super::shelf::cost_of;
use super::tools::Tools;
use crate::error::{Error, Result};
use crate::image::Md5Digest;
use crate::metrics::{self, FillResult};
use crate::store::{Store, Wanted};
use crate::transfer::disk::DiskFile;
use crate::transfer::{BLOCK_BYTES, BlockPool, Growing, Payload};

/// How often readers of a slow fill are given what there is.
const NUDGE_EVERY: Duration = Duration::from_millis(100);

/// Bytes that are read back at a time for the hash, in blocks.
const HASHED_BLOCKS: usize = 4;

/// How long the readers of a wrong file have for letting go of it, before the second attempt
/// is given up for want of room.
const SECOND_ROOM_TRIES: u32 = 100;
const SECOND_ROOM_WAIT: Duration = Duration::from_millis(50);

/// Carries a fill out. Whatever happens, its readers are told.
pub(super) async fn fill(cache: Cache, tools: Rc<Tools>, flight: Arc<Flight>) {
    let guard = Guard {
        cache: cache.clone(),
        flight: Arc::clone(&flight),
    };
    let _counted = metrics::fill_begins();
    let result = Fill::new(cache, tools, Arc::clone(&flight)).run().await;
    let took = flight.began.elapsed();
    let id = flight.source.image;
    match &result {
        Ok(Outcome::Kept) => {
            tracing::info!(image_id = %id, bytes = flight.source.size_bytes, took_s = took.as_secs_f64(), "cached");
            metrics::fill_ended(FillResult::Kept, took);
        }
        Ok(Outcome::NoRoom) => metrics::fill_ended(FillResult::NoRoom, took),
        Err(error) => {
            tracing::error!(image_id = %id, ?error, "an image could not be cached");
            metrics::fill_ended(FillResult::Failed, took);
            flight.fails(error);
        }
    }
    drop(guard);
}

/// Takes a fill off the books, also when it is cut off in the middle.
struct Guard {
    cache: Cache,
    flight: Arc<Flight>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.cache.shelf().disembark(&self.flight);
        self.flight
            .fails(&Error::internal("a fill of the image cache was cut off"));
    }
}

enum Outcome {
    Kept,
    NoRoom,
}

/// A fill under way.
struct Fill {
    cache: Cache,
    tools: Rc<Tools>,
    flight: Arc<Flight>,
    store: Option<Arc<dyn Store>>,
}

/// The file of one attempt; dropped, it is removed.
struct Staged {
    cache: Cache,
    id: Uuid,
    file: Arc<File>,
    bytes: u64,
    is_settled: bool,
}

/// What one attempt came to.
enum Verdict {
    Right(Md5Digest),
    Wrong,
}

impl Fill {
    fn new(cache: Cache, tools: Rc<Tools>, flight: Arc<Flight>) -> Self {
        let store = tools.stores.of(&flight.source.location).ok();
        Self {
            cache,
            tools,
            flight,
            store,
        }
    }

    fn source(&self) -> &Source {
        &self.flight.source
    }

    async fn run(&self) -> Result<Outcome> {
        let Some(mut staged) = self.stage().await else {
            self.flight.finds_no_room();
            return Ok(Outcome::NoRoom);
        };
        let mut plan = self.plan();
        // Its answer is what the first readers wait for: their status is the origin's.
        let first = self.open_first(&mut plan).await?;
        let growing = Growing::new(Arc::clone(&staged.file), self.source().size_bytes);
        self.flight.takes_off(&growing);
        let mut verdict = self.attempt(&growing, &staged, plan, first).await?;
        if matches!(verdict, Verdict::Wrong) {
            growing.give_up_file();
            drop(staged);
            staged = self.stage_again().await?;
            growing.begin_again(Arc::clone(&staged.file));
            let mut plan = self.plan();
            let first = self.open_first(&mut plan).await?;
            verdict = self.attempt(&growing, &staged, plan, first).await?;
        }
        match verdict {
            Verdict::Right(digest) => {
                self.flight.lands(&growing);
                self.publish(staged, digest).await;
                Ok(Outcome::Kept)
            }
            Verdict::Wrong => Err(Error::internal(
                "the store's object is not what the registry says: its MD5 is another, twice",
            )),
        }
    }

    async fn stage(&self) -> Option<Staged> {
        let size_bytes = self.source().size_bytes;
        let bytes = cost_of(size_bytes);
        if !self.cache.take_room(bytes).await {
            return None;
        }
        let (folder, id) = (Arc::clone(self.cache.folder()), Uuid::new_v4());
        let stage = move || folder.stage(id, size_bytes);
        match self.cache.blocking().run(stage).await {
            Ok(file) => Some(Staged {
                cache: self.cache.clone(),
                id,
                file: Arc::new(file),
                bytes,
                is_settled: false,
            }),
            Err(error) => {
                tracing::warn!(%error, bytes, "the image cache's disk has no room");
                self.cache.give_room_back(bytes, &Weak::new());
                None
            }
        }
    }

    /// A file for the second attempt, once the readers of the first have let go of it.
    async fn stage_again(&self) -> Result<Staged> {
        for _ in 0..SECOND_ROOM_TRIES {
            if let Some(staged) = self.stage().await {
                return Ok(staged);
            }
            sleep(SECOND_ROOM_WAIT).await;
        }
        Err(Error::internal("no room for a second attempt at an image"))
    }

    /// One range where the origin need not know ranges, or nothing would tell two versions
    /// of the object apart.
    fn plan(&self) -> Plan {
        let (source, options) = (self.source(), &self.tools.options);
        let serves_ranges = self
            .store
            .as_ref()
            .is_some_and(|store| store.serves_ranges());
        match serves_ranges && source.digest.is_some() && options.ranges > 1 {
            true => Plan::new(source.size_bytes, options.range_bytes),
            false => Plan::new(source.size_bytes, source.size_bytes),
        }
    }

    async fn open_first(&self, plan: &mut Plan) -> Result<(Piece, Payload)> {
        let piece = plan
            .next(&[])
            .ok_or_else(|| Error::internal("an image without bytes"))?;
        Ok((piece, self.ask(piece).await?))
    }

    async fn ask(&self, piece: Piece) -> Result<Payload> {
        let source = self.source();
        ask(&self.tools, source, piece).await
    }

    /// Gets all bytes into the file and says what they are.
    async fn attempt(
        &self,
        growing: &Arc<Growing>,
        staged: &Staged,
        plan: Plan,
        first: (Piece, Payload),
    ) -> Result<Verdict> {
        let fetched = self.fetch_all(growing, staged, plan, first);
        let hashed = self.hash(growing, &staged.file);
        let both = async { tokio::try_join!(fetched, hashed) };
        let ((), digest) = tokio::select! {
            both = both => both?,
            never = nudge(growing) => never,
        };
        match self.source().digest {
            Some(wanted) if wanted != digest => {
                metrics::integrity_failure();
                metrics::fill_ended(FillResult::Wrong, self.flight.began.elapsed());
                tracing::error!(image_id = %self.source().image, "what was fetched has another MD5");
                Ok(Verdict::Wrong)
            }
            _ => Ok(Verdict::Right(digest)),
        }
    }

    async fn fetch_all(
        &self,
        growing: &Arc<Growing>,
        staged: &Staged,
        mut plan: Plan,
        first: (Piece, Payload),
    ) -> Result<()> {
        let file = self
            .tools
            .disk
            .file(staged.file.try_clone().map_err(Error::internal)?);
        let target = (Arc::clone(growing), file);
        let mut under_way = JoinSet::new();
        under_way.spawn_local(receive(first.1, first.0, target.clone()));
        loop {
            while under_way.len() < self.tools.options.ranges {
                let spare = Arc::clone(&self.tools.spare).try_acquire_owned();
                if spare.is_err() && !under_way.is_empty() {
                    break;
                }
                let Some(piece) = plan.next(&growing.waited_for()) else {
                    break;
                };
                let (tools, source) = (Rc::clone(&self.tools), self.source().clone());
                let target = target.clone();
                under_way.spawn_local(async move {
                    let _spare = spare;
                    let payload = ask(&tools, &source, piece).await?;
                    receive(payload, piece, target).await
                });
            }
            match under_way.join_next().await {
                None => return Ok(()),
                Some(ended) => ended.map_err(Error::internal)??,
            }
        }
    }

    /// The MD5 of the file's bytes, as they come. They are read back from the file: what is
    /// hashed is what readers are sent.
    async fn hash(&self, growing: &Growing, file: &Arc<File>) -> Result<Md5Digest> {
        let mut stream = self.tools.hashes.stream();
        let blocks = BlockPool::new(2 * HASHED_BLOCKS);
        let mut position = 0;
        while position < growing.len() {
            let end = growing.grown_from(position).await;
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

    /// Gives the file its name, unless the image was forgotten meanwhile. Readers of the
    /// fill do not wait for this.
    async fn publish(&self, mut staged: Staged, digest: Md5Digest) {
        if self.cache.is_retired() {
            return;
        }
        let (folder, id, file) = (
            Arc::clone(self.cache.folder()),
            staged.id,
            Arc::clone(&staged.file),
        );
        let image = self.source().image;
        let publish = move || folder.publish(id, &file, image, digest);
        match self.cache.blocking().run(publish).await {
            Ok(name) => {
                let watch = Arc::downgrade(&staged.file);
                staged.is_settled = true;
                let is_wanted = {
                    let mut shelf = self.cache.shelf();
                    let is_wanted = shelf.disembark(&self.flight);
                    shelf.settle(staged.bytes, name, &watch, now_us());
                    is_wanted
                };
                if !is_wanted {
                    self.cache.forget(&image);
                }
            }
            Err(error) => tracing::error!(%error, "a cached image could not be kept"),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let (cache, id, bytes) = (self.cache.clone(), self.id, self.bytes);
        let file = Arc::downgrade(&self.file);
        self.cache.blocking().start(move || {
            cache.folder().discard(id)?;
            cache.give_room_back(bytes, &file);
            Ok(())
        });
    }
}

async fn ask(tools: &Tools, source: &Source, piece: Piece) -> Result<Payload> {
    let wanted = Wanted {
        offset: piece.offset,
        len: piece.len,
        object_bytes: source.size_bytes,
    };
    let store = tools.stores.of(&source.location)?;
    store.open(&source.location, wanted).await
}

/// Writes a range as it comes.
async fn receive(
    mut payload: Payload,
    piece: Piece,
    target: (Arc<Growing>, DiskFile),
) -> Result<()> {
    let (growing, file) = target;
    let (mut position, end) = (piece.offset, piece.offset + piece.len);
    while let Some(bytes) = next(&mut payload).await? {
        let len = bytes.len() as u64;
        if len > end - position {
            return Err(Error::internal("the origin sent more than was asked for"));
        }
        let written = file.write_all_at(bytes, position).await;
        written.map_err(Error::internal)?;
        growing.arrived(position, len);
        metrics::cache_filled(len);
        position += len;
    }
    if position < end {
        return Err(Error::internal("the origin sent less than was asked for"));
    }
    Ok(())
}

async fn next(payload: &mut Payload) -> Result<Option<Bytes>> {
    match payload {
        Payload::Remote(remote) => remote.next().await,
        Payload::Bytes(bytes) => {
            let bytes = std::mem::take(bytes);
            *payload = Payload::Empty;
            Ok(Some(bytes))
        }
        Payload::Empty => Ok(None),
        Payload::File(_) | Payload::Growing(_) => {
            Err(Error::internal("files of this node need no cache"))
        }
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
async fn nudge<T>(growing: &Growing) -> T {
    let mut tick = interval(NUDGE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        growing.nudge();
    }
}
