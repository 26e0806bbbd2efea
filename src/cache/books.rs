//! The cache, as those who ask for images see it.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::CacheError;
use super::flight::{FillProgress, Flight};
use super::folder::CacheFolder;
use super::queue::Queue;
use super::shelf::{Counted, Kept, Shelf};
use super::usage::{Remembered, written};
use crate::image::ImageId;
use crate::transfer::BlockingPool;

/// What an operator allows the cache.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Where it is.
    pub folder: PathBuf,
    /// The most that it holds, in bytes.
    pub max_bytes: u64,
    /// What it leaves of the disk, in bytes.
    pub min_free_bytes: u64,
}

/// Images kept near. Cheap to clone; clones are the same cache.
#[derive(Debug, Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: CacheOptions,
    folder: Arc<CacheFolder>,
    shelf: Mutex<Shelf>,
    /// One at a time makes room.
    making_room: tokio::sync::Mutex<()>,
    fills: mpsc::UnboundedSender<Arc<Flight>>,
    blocking: BlockingPool,
    queue: Queue,
    /// Another process has the folder.
    is_retired: AtomicBool,
}

/// What is told of a kept image.
#[derive(Debug, Clone)]
pub struct CachedImage {
    /// The image.
    pub image: ImageId,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How often it was read since it is kept. A kill takes the last seconds' part of it.
    pub hits: u64,
    /// When it was asked for last, in seconds since the epoch.
    pub last_accessed_s: f64,
    /// When it was fetched, in seconds since the epoch.
    pub last_modified_s: f64,
}

/// Fills that wait for somebody to carry them out.
pub(super) type Flights = mpsc::UnboundedReceiver<Arc<Flight>>;

impl Cache {
    /// Opens the folder, and finds there what the process before has kept. Blocks. The
    /// second of the pair is for a [`super::Filler`].
    pub(super) fn open(
        options: CacheOptions,
        blocking: BlockingPool,
    ) -> std::result::Result<(Self, Flights), CacheError> {
        let failed = |cause| CacheError {
            folder: options.folder.clone(),
            cause,
        };
        let folder = Arc::new(CacheFolder::open(&options.folder).map_err(failed)?);
        let mut shelf = Shelf::new(options.max_bytes);
        let remembered = Remembered::parse(&folder.saved_usage().map_err(failed)?);
        for name in folder.scan().map_err(failed)? {
            let usage = remembered.of(&name);
            shelf.keep(name, &Weak::new(), usage);
        }
        let queued = folder.queued().map_err(failed)?;
        let queue = Queue::new(Arc::clone(&folder), blocking.clone(), queued);
        let (fills, flights) = mpsc::unbounded_channel();
        let shared = Shared {
            options,
            folder,
            shelf: Mutex::new(shelf),
            making_room: tokio::sync::Mutex::default(),
            fills,
            blocking,
            queue,
            is_retired: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        Ok((Self { shared }, flights))
    }

    /// The queue of images that are to be fetched before anybody asks.
    pub fn queue(&self) -> &Queue {
        &self.shared.queue
    }

    /// Leaves the folder to a successor, or takes it back: what is kept is served and fills
    /// under way go on for their readers, but nothing is begun, kept or evicted. The successor
    /// removes the files of those fills; they take up room beside its own until they end.
    ///
    /// Blocks: the successor is to know how images were used.
    pub fn retire(&self, is_retired: bool) {
        if is_retired {
            self.note_usage_now();
        }
        self.shared.is_retired.store(is_retired, Ordering::Relaxed);
    }

    /// Writes down how images were used, if that is news. A failure is logged and mended by
    /// the next time.
    pub(super) async fn note_usage(&self) {
        if self.is_retired() {
            return;
        }
        let Some(usages) = self.shelf().news() else {
            return;
        };
        let folder = Arc::clone(self.folder());
        let save = move || folder.save_usage(&written(&usages));
        let saved = self.blocking().run(save).await;
        self.is_noted(saved);
    }

    /// The same at an end, when nobody else is to be waited for. Blocks.
    pub fn note_usage_now(&self) {
        if self.is_retired() {
            return;
        }
        if let Some(usages) = self.shelf().news() {
            self.is_noted(self.folder().save_usage(&written(&usages)));
        }
    }

    fn is_noted(&self, saved: io::Result<()>) {
        if let Err(error) = saved {
            tracing::warn!(%error, "how cached images were used cannot be written down");
            self.shelf().has_news_again();
        }
    }

    /// Whether the folder is a successor's.
    pub fn is_retired(&self) -> bool {
        self.shared.is_retired.load(Ordering::Relaxed)
    }

    /// Whether an image is kept.
    pub fn is_kept(&self, image: &ImageId) -> bool {
        self.shelf().get(image).is_some()
    }

    /// The kept images, in the order of their ids.
    pub fn images(&self) -> Vec<CachedImage> {
        let mut images: Vec<_> = self.shelf().kept().map(CachedImage::of).collect();
        images.sort_by_key(|image| image.image);
        images
    }

    /// The fills under way, the oldest first.
    pub fn fills(&self) -> Vec<FillProgress> {
        let shelf = self.shelf();
        let mut fills: Vec<_> = shelf.flights().map(|flight| flight.progress()).collect();
        fills.sort_by_key(|fill| std::cmp::Reverse(fill.took));
        fills
    }

    /// What it allows itself.
    pub fn options(&self) -> &CacheOptions {
        &self.shared.options
    }

    /// What it holds, and of how many images.
    pub fn counted(&self) -> (Counted, usize) {
        let mut shelf = self.shelf();
        shelf.reap();
        (shelf.counted(), shelf.kept().count())
    }

    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Nothing between lock and unlock leaves the books wrong.
        let locked = self.shared.shelf.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn folder(&self) -> &Arc<CacheFolder> {
        &self.shared.folder
    }

    pub(super) fn blocking(&self) -> &BlockingPool {
        &self.shared.blocking
    }

    /// Has a fill carried out. Whether somebody is there for it.
    pub(super) fn send(&self, flight: Arc<Flight>) -> bool {
        self.shared.fills.send(flight).is_ok()
    }

    pub(super) fn making_room(&self) -> &tokio::sync::Mutex<()> {
        &self.shared.making_room
    }
}

impl CachedImage {
    fn of(kept: &Kept) -> Self {
        Self {
            image: kept.name.image,
            size_bytes: kept.name.size_bytes,
            hits: kept.usage.hits,
            last_accessed_s: kept.usage.last_us as f64 / 1e6,
            last_modified_s: kept.name.written_ns as f64 / 1e9,
        }
    }
}

/// The time, in microseconds since the epoch.
pub(super) fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}
