//! Transfers of image data as they go: what the status page shows of each, and what each
//! store moves.
//!
//! Images and numbers of bytes are no labels here: this is a list of what is under way, not a
//! set of series. Each thread has a list of its own, so that workers never wait for one
//! another, and what has ended leaves its place to the next: a download costs no allocation.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::image::ImageId;

/// Which way image data move.
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

/// One transfer's counter. Whoever moves its bytes adds them.
#[derive(Debug, Default)]
pub struct TransferProgress {
    moved_bytes: AtomicU64,
}

/// A transfer as it is now.
#[derive(Debug, Clone)]
pub struct TransferView {
    /// Which way.
    pub direction: Direction,
    /// The store.
    pub store: &'static str,
    /// The image.
    pub image: ImageId,
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

/// What is known of a transfer when it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct TransferInfo {
    pub(super) direction: Direction,
    pub(super) store: &'static str,
    pub(super) image: ImageId,
    pub(super) total_bytes: Option<u64>,
}

/// A transfer on its thread's list; dropped, it is off.
pub(super) struct ActiveTransfer {
    list: &'static Mutex<List>,
    place: usize,
    progress: Arc<TransferProgress>,
}

/// What moves, and which way.
type StoreDirection = (&'static str, Direction);

/// The transfers that one thread has begun.
#[derive(Debug, Default)]
struct List {
    places: Vec<TransferSlot>,
    free: Vec<usize>,
    /// What transfers have moved that are off the list.
    ended_bytes: BTreeMap<StoreDirection, u64>,
}

#[derive(Debug, Default)]
struct TransferSlot {
    progress: Arc<TransferProgress>,
    taken: Option<(TransferInfo, Instant)>,
}

/// The lists of all threads. They stay when their threads end: what those have moved still
/// counts, and who moves image data are the workers, which are few.
static LISTS: Mutex<Vec<&'static Mutex<List>>> = Mutex::new(Vec::new());

thread_local! {
    static LIST: &'static Mutex<List> = {
        let list: &'static Mutex<List> = Box::leak(Box::default());
        lock(&LISTS).push(list);
        list
    };
}

/// What roads had moved when they were looked at last.
#[derive(Debug)]
struct Samples {
    taken: Option<Instant>,
    roads: BTreeMap<StoreDirection, Sample>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    moved_bytes: u64,
    rate_bytes: f64,
}

static SAMPLES: Mutex<Samples> = Mutex::new(Samples {
    taken: None,
    roads: BTreeMap::new(),
});

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing between lock and unlock leaves the parts at odds.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TransferProgress {
    /// Bytes have moved.
    pub fn add(&self, bytes: u64) {
        self.moved_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that have moved.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved_bytes.load(Ordering::Relaxed)
    }
}

impl ActiveTransfer {
    pub(super) fn begin(about: TransferInfo) -> Self {
        let list = LIST.with(|list| *list);
        let (place, progress) = lock(list).begin(about);
        Self {
            list,
            place,
            progress,
        }
    }

    pub(super) fn progress(&self) -> &Arc<TransferProgress> {
        &self.progress
    }
}

impl Drop for ActiveTransfer {
    fn drop(&mut self) {
        lock(self.list).end(self.place);
    }
}

impl List {
    fn begin(&mut self, about: TransferInfo) -> (usize, Arc<TransferProgress>) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(TransferSlot::default());
            self.places.len() - 1
        });
        let place = &mut self.places[index];
        match Arc::get_mut(&mut place.progress) {
            Some(progress) => *progress.moved_bytes.get_mut() = 0,
            // Somebody still holds the counter of the transfer before.
            None => place.progress = Arc::default(),
        }
        place.taken = Some((about, Instant::now()));
        (index, Arc::clone(&place.progress))
    }

    fn end(&mut self, index: usize) {
        let place = &mut self.places[index];
        if let Some((about, _)) = place.taken.take() {
            let ended = self.ended_bytes.entry(about.road()).or_default();
            *ended += place.progress.moved_bytes();
            self.free.push(index);
        }
    }

    fn under_way(&self) -> impl Iterator<Item = (&TransferInfo, Instant, u64)> {
        self.places.iter().filter_map(|place| {
            let (about, began) = place.taken.as_ref()?;
            Some((about, *began, place.progress.moved_bytes()))
        })
    }
}

impl TransferInfo {
    fn road(&self) -> StoreDirection {
        (self.store, self.direction)
    }
}

/// Looks at the lists one after the other; a thread waits for as long as its own takes.
fn look(mut at: impl FnMut(&List)) {
    let lists = lock(&LISTS).clone();
    for list in lists {
        at(&lock(list));
    }
}

/// The transfers under way, the oldest first.
pub fn transfers() -> Vec<TransferView> {
    let now = Instant::now();
    let mut transfers = Vec::new();
    look(|list| {
        let views = list.under_way().map(|(about, began, moved_bytes)| {
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

/// What each store has moved so far.
fn moved_bytes() -> BTreeMap<StoreDirection, u64> {
    let mut moved = BTreeMap::new();
    look(|list| {
        let ended = list.ended_bytes.iter().map(|(road, bytes)| (*road, *bytes));
        let going = list.under_way();
        for (road, bytes) in ended.chain(going.map(|(about, _, bytes)| (about.road(), bytes))) {
            *moved.entry(road).or_default() += bytes;
        }
    });
    moved
}

/// What each store moves, by name.
pub fn throughput() -> Vec<Throughput> {
    let moved = moved_bytes();
    let samples = lock(&SAMPLES);
    let of = |((store, direction), total_bytes)| Throughput {
        direction,
        store,
        total_bytes,
        rate_bytes: (samples.roads.get(&(store, direction))).map_or(0.0, |s| s.rate_bytes),
    };
    moved.into_iter().map(of).collect()
}

/// Takes the rates anew. To be called every few seconds.
pub(super) fn sample() {
    let moved = moved_bytes();
    let mut samples = lock(&SAMPLES);
    let now = Instant::now();
    let since = samples.taken.replace(now).map(|before| now - before);
    let since = since.filter(|since| !since.is_zero());
    for (road, moved_bytes) in moved {
        let sample = samples.roads.entry(road).or_default();
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
    fn a_transfer_is_seen_while_it_goes_and_its_bytes_for_ever() {
        let image = ImageId::random();
        let listed = ActiveTransfer::begin(about("seen", image));
        assert_eq!((seen(image), total_bytes("seen")), (Some(0), Some(0)));
        listed.progress().add(7);
        assert_eq!((seen(image), total_bytes("seen")), (Some(7), Some(7)));
        drop(listed);
        assert_eq!((seen(image), total_bytes("seen")), (None, Some(7)));
    }

    #[test]
    fn threads_lose_nothing_and_may_hand_transfers_on() {
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
    fn a_place_is_used_again_but_no_counter_that_is_still_held() {
        let mut list = List::default();
        let (first, held) = list.begin(about("places", ImageId::random()));
        held.add(5);
        list.end(first);
        let (second, progress) = list.begin(about("places", ImageId::random()));
        assert_eq!(first, second);
        held.add(100);
        assert_eq!(progress.moved_bytes(), 0);
        drop((held, progress));
        list.end(second);
        let (third, progress) = list.begin(about("places", ImageId::random()));
        assert_eq!((third, progress.moved_bytes()), (first, 0));
        assert_eq!(list.places.len(), 1);
        assert_eq!(list.ended_bytes[&("places", Direction::Download)], 5);
    }

    #[test]
    fn a_rate_is_what_came_since_the_last_look() {
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
