//! Transfers of image data as they go: what the status page shows of each, and what each
//! store moves.
//!
//! Images and numbers of bytes are no labels here: this is a list of what is under way, not a
//! set of series.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Which way image data move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// From a client.
    Upload,
    /// To a client.
    Download,
}

impl Direction {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Direction::Upload => "upload",
            Direction::Download => "download",
        }
    }
}

/// One transfer's counter. Whoever moves its bytes adds them.
#[derive(Debug)]
pub struct Progress {
    number: u64,
    direction: Direction,
    store: &'static str,
    image: String,
    /// How many bytes it will have, where that is known.
    total_bytes: Option<u64>,
    began: Instant,
    moved_bytes: AtomicU64,
    of_store: Arc<AtomicU64>,
}

/// A transfer as it is now.
#[derive(Debug, Clone)]
pub struct TransferView {
    /// Which way.
    pub direction: Direction,
    /// The store.
    pub store: &'static str,
    /// The image.
    pub image: String,
    /// How many bytes it will have, where that is known.
    pub total_bytes: Option<u64>,
    /// How many have moved.
    pub moved_bytes: u64,
    /// How long it has been under way.
    pub took: Duration,
}

/// What a store moves.
#[derive(Debug, Clone)]
pub struct Throughput {
    /// Which way.
    pub direction: Direction,
    /// The store.
    pub store: &'static str,
    /// All bytes so far.
    pub total_bytes: u64,
    /// Bytes a second, of late.
    pub rate_bytes: f64,
}

#[derive(Debug, Default)]
struct Board {
    next: u64,
    under_way: HashMap<u64, Arc<Progress>>,
    stores: BTreeMap<(&'static str, Direction), Store>,
    sampled: Option<Instant>,
}

#[derive(Debug, Default)]
struct Store {
    moved_bytes: Arc<AtomicU64>,
    sample_bytes: u64,
    rate_bytes: f64,
}

static BOARD: LazyLock<Mutex<Board>> = LazyLock::new(Mutex::default);

fn board() -> MutexGuard<'static, Board> {
    // Nothing between lock and unlock leaves the parts at odds.
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress {
    pub(super) fn begin(
        direction: Direction,
        store: &'static str,
        image: String,
        total_bytes: Option<u64>,
    ) -> Arc<Self> {
        let mut board = board();
        board.next += 1;
        let of_store = board.stores.entry((store, direction)).or_default();
        let progress = Arc::new(Self {
            of_store: Arc::clone(&of_store.moved_bytes),
            number: board.next,
            direction,
            store,
            image,
            total_bytes,
            began: Instant::now(),
            moved_bytes: AtomicU64::new(0),
        });
        let number = progress.number;
        board.under_way.insert(number, Arc::clone(&progress));
        progress
    }

    pub(super) fn end(&self) {
        board().under_way.remove(&self.number);
    }

    /// Bytes have moved.
    pub fn add(&self, bytes: u64) {
        self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.of_store.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that have moved.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved_bytes.load(Ordering::Relaxed)
    }
}

/// The transfers under way, the oldest first.
pub fn transfers() -> Vec<TransferView> {
    let mut under_way: Vec<_> = board().under_way.values().cloned().collect();
    under_way.sort_by_key(|progress| progress.number);
    let view = |progress: Arc<Progress>| TransferView {
        direction: progress.direction,
        store: progress.store,
        image: progress.image.clone(),
        total_bytes: progress.total_bytes,
        moved_bytes: progress.moved_bytes(),
        took: progress.began.elapsed(),
    };
    under_way.into_iter().map(view).collect()
}

/// What each store moves, by name.
pub fn throughput() -> Vec<Throughput> {
    let board = board();
    let of = |((store, direction), moved): (&(&'static str, Direction), &Store)| Throughput {
        direction: *direction,
        store,
        total_bytes: moved.moved_bytes.load(Ordering::Relaxed),
        rate_bytes: moved.rate_bytes,
    };
    board.stores.iter().map(of).collect()
}

/// Takes the rates anew. To be called every few seconds.
pub(super) fn sample() {
    let mut board = board();
    let now = Instant::now();
    let since = board.sampled.replace(now).map(|before| now - before);
    for store in board.stores.values_mut() {
        let moved_bytes = store.moved_bytes.load(Ordering::Relaxed);
        if let Some(since) = since.filter(|since| !since.is_zero()) {
            let fresh = moved_bytes - store.sample_bytes;
            store.rate_bytes = fresh as f64 / since.as_secs_f64();
        }
        store.sample_bytes = moved_bytes;
    }
}
