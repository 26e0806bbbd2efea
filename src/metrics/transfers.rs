//! The transfers in progress and the throughput of each store, for the status page.
//!
//! This is a list of transfers and not a set of series, so it may contain image ids. Each thread
//! has its own list, so that workers do not wait for each other. The slot of a finished transfer
//! is reused, so a download allocates nothing here.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::image::ImageId;

/// The direction of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// Counts the bytes of one transfer as they are moved.
#[derive(Debug, Default)]
pub struct TransferProgress {
    moved_bytes: AtomicU64,
}

/// A snapshot of a transfer.
#[derive(Debug, Clone)]
pub struct TransferView {
    /// The direction.
    pub direction: Direction,
    /// The store.
    pub store: &'static str,
    /// The image.
    pub image: ImageId,
    /// The total number of bytes, if it is known.
    pub total_bytes: Option<u64>,
    /// The number of bytes moved.
    pub moved_bytes: u64,
    /// Time since the transfer began.
    pub took: Duration,
}

/// The throughput of a store in one direction.
#[derive(Debug, Clone)]
pub struct Throughput {
    /// The direction.
    pub direction: Direction,
    /// The store.
    pub store: &'static str,
    /// Bytes moved since the process started.
    pub total_bytes: u64,
    /// Bytes per second between the last two samples.
    pub rate_bytes: f64,
}

/// The properties of a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) struct TransferInfo {
    pub(super) direction: Direction,
    pub(super) store: &'static str,
    pub(super) image: ImageId,
    pub(super) total_bytes: Option<u64>,
}

/// A transfer in its thread's list. Dropping it removes the entry.
pub(super) struct ActiveTransfer {
    list: &'static Mutex<List>,
    slot: usize,
    progress: Arc<TransferProgress>,
}

/// A store and a direction.
type StoreDirection = (&'static str, Direction);

/// The transfers that one thread has started.
#[derive(Debug, Default)]
struct List {
    slots: Vec<TransferSlot>,
    free: Vec<usize>,
    /// Bytes of finished transfers.
    ended_bytes: BTreeMap<StoreDirection, u64>,
}

#[derive(Debug, Default)]
struct TransferSlot {
    progress: Arc<TransferProgress>,
    transfer: Option<(TransferInfo, Instant)>,
}

/// The lists of all threads. A list remains after its thread ends, because its bytes still count.
/// Only the workers have lists, so their number is small.
static LISTS: Mutex<Vec<&'static Mutex<List>>> = Mutex::new(Vec::new());

thread_local! {
    static LIST: &'static Mutex<List> = {
        let list: &'static Mutex<List> = Box::leak(Box::default());
        lock(&LISTS).push(list);
        list
    };
}

/// The last samples of the moved bytes.
#[derive(Debug)]
struct Samples {
    taken: Option<Instant>,
    keys: BTreeMap<StoreDirection, Sample>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    moved_bytes: u64,
    rate_bytes: f64,
}

static SAMPLES: Mutex<Samples> = Mutex::new(Samples {
    taken: None,
    keys: BTreeMap::new(),
});

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock is used: no critical section can panic with the fields inconsistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TransferProgress {
    /// Counts bytes that were moved.
    pub fn add(&self, bytes: u64) {
        self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the number of bytes moved.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved_bytes.load(Ordering::Relaxed)
    }
}

impl ActiveTransfer {
    pub(super) fn begin(about: TransferInfo) -> Self {
        let list = LIST.with(|list| *list);
        let (slot, progress) = lock(list).begin(about);
        Self {
            list,
            slot,
            progress,
        }
    }

    pub(super) fn progress(&self) -> &Arc<TransferProgress> {
        &self.progress
    }
}

impl Drop for ActiveTransfer {
    fn drop(&mut self) {
        lock(self.list).end(self.slot);
    }
}

impl List {
    fn begin(&mut self, about: TransferInfo) -> (usize, Arc<TransferProgress>) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(TransferSlot::default());
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        // Reused without an allocation if the previous transfer has dropped its counter.
        match Arc::get_mut(&mut slot.progress) {
            Some(progress) => *progress.moved_bytes.get_mut() = 0,
            // The counter of the previous transfer is still in use.
            None => slot.progress = Arc::default(),
        }
        slot.transfer = Some((about, Instant::now()));
        (index, Arc::clone(&slot.progress))
    }

    fn end(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if let Some((about, _)) = slot.transfer.take() {
            let ended = self.ended_bytes.entry(about.key()).or_default();
            *ended += slot.progress.moved_bytes();
            self.free.push(index);
        }
    }

    fn in_progress(&self) -> impl Iterator<Item = (&TransferInfo, Instant, u64)> {
        self.slots.iter().filter_map(|slot| {
            let (about, began) = slot.transfer.as_ref()?;
            Some((about, *began, slot.progress.moved_bytes()))
        })
    }
}

impl TransferInfo {
    fn key(&self) -> StoreDirection {
        (self.store, self.direction)
    }
}

/// Visits the lists one after the other. A worker waits only while its own list is visited.
fn for_each_list(mut visit: impl FnMut(&List)) {
    // The outer lock is released first: a new thread that registers its list never waits for a
    // visit of the others.
    let lists = lock(&LISTS).clone();
    for list in lists {
        visit(&lock(list));
    }
}

/// Returns the transfers in progress, the oldest first.
pub fn transfers() -> Vec<TransferView> {
    let now = Instant::now();
    let mut transfers = Vec::new();
    for_each_list(|list| {
        let views = list.in_progress().map(|(about, began, moved_bytes)| {
            let TransferInfo {
                direction,
                store,
                image,
                total_bytes,
            } = *about;
            TransferView {
                direction,
                store,
                image,
                total_bytes,
                moved_bytes,
                took: now.saturating_duration_since(began),
            }
        });
        transfers.extend(views);
    });
    transfers.sort_by_key(|transfer| std::cmp::Reverse(transfer.took));
    transfers
}

/// Returns the bytes moved by store and direction.
fn moved_bytes() -> BTreeMap<StoreDirection, u64> {
    let mut moved = BTreeMap::new();
    for_each_list(|list| {
        let ended = list.ended_bytes.iter().map(|(key, bytes)| (*key, *bytes));
        let going = list.in_progress();
        for (key, bytes) in ended.chain(going.map(|(about, _, bytes)| (about.key(), bytes))) {
            *moved.entry(key).or_default() += bytes;
        }
    });
    moved
}

/// Returns the throughput by store and direction, sorted by store.
pub fn throughput() -> Vec<Throughput> {
    let moved = moved_bytes();
    let samples = lock(&SAMPLES);
    let of = |((store, direction), total_bytes)| Throughput {
        direction,
        store,
        total_bytes,
        rate_bytes: (samples.keys.get(&(store, direction))).map_or(0.0, |s| s.rate_bytes),
    };
    moved.into_iter().map(of).collect()
}

/// Takes samples for the rates. Called every few seconds.
pub(super) fn sample() {
    let moved = moved_bytes();
    let mut samples = lock(&SAMPLES);
    let now = Instant::now();
    let since = samples.taken.replace(now).map(|before| now - before);
    let since = since.filter(|since| !since.is_zero());
    for (key, moved_bytes) in moved {
        let sample = samples.keys.entry(key).or_default();
        if let Some(since) = since {
            let fresh = moved_bytes.saturating_sub(sample.moved_bytes);
            sample.rate_bytes = fresh as f64 / since.as_secs_f64();
        }
        sample.moved_bytes = moved_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(store: &'static str, image: ImageId) -> TransferInfo {
        TransferInfo {
            direction: Direction::Download,
            store,
            image,
            total_bytes: Some(10),
        }
    }

    fn total_bytes(store: &str) -> Option<u64> {
        let all = throughput();
        let mut of_store = all.iter().filter(|moved| moved.store == store);
        of_store.next().map(|moved| moved.total_bytes)
    }

    fn seen(image: ImageId) -> Option<u64> {
        let all = transfers();
        let mut seen = all.iter().filter(|transfer| transfer.image == image);
        seen.next().map(|transfer| transfer.moved_bytes)
    }

    #[test]
    fn transfer_is_listed_while_in_progress_and_its_bytes_remain() {
        let image = ImageId::random();
        let listed = ActiveTransfer::begin(about("seen", image));
        assert_eq!((seen(image), total_bytes("seen")), (Some(0), Some(0)));
        listed.progress().add(7);
        assert_eq!((seen(image), total_bytes("seen")), (Some(7), Some(7)));
        drop(listed);
        assert_eq!((seen(image), total_bytes("seen")), (None, Some(7)));
    }

    #[test]
    fn transfers_may_move_between_threads() {
        let begun: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    for _ in 0..1000 {
                        let listed = ActiveTransfer::begin(about("threads", ImageId::random()));
                        listed.progress().add(3);
                    }
                    let last = ActiveTransfer::begin(about("threads", ImageId::random()));
                    last.progress().add(1);
                    last
                })
            })
            .collect();
        let last: Vec<_> = begun.into_iter().map(|thread| thread.join()).collect();
        assert_eq!(total_bytes("threads"), Some(4 * 3001));
        drop(last);
        assert_eq!(total_bytes("threads"), Some(4 * 3001));
    }

    #[test]
    fn slot_is_reused_but_not_a_counter_in_use() {
        let mut list = List::default();
        let (first, held) = list.begin(about("slots", ImageId::random()));
        held.add(5);
        list.end(first);
        let (second, progress) = list.begin(about("slots", ImageId::random()));
        assert_eq!(first, second);
        held.add(100);
        assert_eq!(progress.moved_bytes(), 0);
        drop((held, progress));
        list.end(second);
        let (third, progress) = list.begin(about("slots", ImageId::random()));
        assert_eq!((third, progress.moved_bytes()), (first, 0));
        assert_eq!(list.slots.len(), 1);
        assert_eq!(list.ended_bytes[&("slots", Direction::Download)], 5);
    }

    #[test]
    fn rate_is_measured_between_samples() {
        let listed = ActiveTransfer::begin(about("rates", ImageId::random()));
        sample();
        listed.progress().add(1 << 20);
        std::thread::sleep(Duration::from_millis(5));
        sample();
        let all = throughput();
        let moved = all.iter().find(|moved| moved.store == "rates");
        assert!(moved.is_some_and(|moved| moved.rate_bytes > 0.0), "{all:?}");
    }
}
