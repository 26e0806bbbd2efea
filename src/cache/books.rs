//! The cache, as those who ask for images see it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::CacheError;
use super::flight::{FillProgress, Flight, Source};
use super::folder::CacheFolder;
use super::name::EntryName;
use super::queue::Queue;
use super::shelf::{Counted, Kept, Shelf};
use crate::error::Result;
use crate::image::ImageId;
use crate::metrics::{self, CacheAnswer, Eviction};
use crate::transfer::{Blocking, FileSlice, Payload};

/// A kept image's time of reading is written down again after so long, in microseconds.
const NOTE_USE_EVERY_US: i64 = 60_000_000;

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
    blocking: Blocking,
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
    /// How often it was asked for since it is kept, or since the node's start.
    pub hits: u64,
    /// When it was asked for last, in seconds since the epoch.
    pub last_accessed_s: f64,
    /// When it was fetched, in seconds since the epoch.
    pub last_modified_s: f64,
}

/// Fills that wait for somebody to carry them out.
pub(super) type Flights = mpsc::UnboundedReceiver<Arc<Flight>>;

/// What there is of an image.
enum Found {
    Open(Arc<File>),
    Closed(EntryName),
    Flight(Arc<Flight>, CacheAnswer),
    /// Something else is kept under its name.
    Stale,
}

impl Cache {
    /// Opens the folder, and finds there what the process before has kept. Blocks. The
    /// second of the pair is for a [`super::Filler`].
    pub(super) fn open(
        options: CacheOptions,
        blocking: Blocking,
    ) -> std::result::Result<(Self, Flights), CacheError> {
        let failed = |cause| CacheError {
            folder: options.folder.clone(),
            cause,
        };
        let folder = Arc::new(CacheFolder::open(&options.folder).map_err(failed)?);
        let mut shelf = Shelf::new(options.max_bytes);
        for found in folder.scan().map_err(failed)? {
            shelf.keep(found.name, &Weak::new(), found.last_used_us);
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

    /// `len` bytes of an image from `offset` on: of the kept file, or of the one that is
    /// being filled. `None` when there is no room for it: then the origin is to be asked.
    ///
    /// # Errors
    /// Those of the origin; `Internal` when the cache's disk fails.
    pub async fn open_image(
        &self,
        source: &Source,
        offset: u64,
        len: u64,
    ) -> Result<Option<Payload>> {
        loop {
            let file = match self.find(source) {
                Found::Open(file) => file,
                Found::Closed(name) => match self.open_kept(&name).await {
                    Some(file) => file,
                    None => continue,
                },
                Found::Flight(flight, answer) => {
                    let slice = flight.slice(offset, len).await?;
                    let answer = slice.as_ref().map_or(CacheAnswer::Bypass, |_| answer);
                    metrics::cache_answered(answer);
                    return Ok(slice.map(Payload::Growing));
                }
                Found::Stale => {
                    self.forget(&source.image);
                    continue;
                }
            };
            metrics::cache_answered(CacheAnswer::Hit);
            return Ok(Some(Payload::File(FileSlice { file, offset, len })));
        }
    }

    /// Has an image fetched, and waits until it is kept. `false` when there is no room.
    ///
    /// # Errors
    /// As [`Cache::open_image`].
    pub async fn fetch(&self, source: &Source) -> Result<bool> {
        if self.is_kept(&source.image) {
            return Ok(true);
        }
        match self.find(source) {
            Found::Flight(flight, _) => flight.ended().await,
            // Kept since a moment ago.
            Found::Closed(name) => Ok(self.open_kept(&name).await.is_some()),
            Found::Open(_) | Found::Stale => Ok(true),
        }
    }

    /// What there is of an image; where there is nothing, a fill is begun.
    fn find(&self, source: &Source) -> Found {
        let mut shelf = self.shelf();
        if let Some(kept) = shelf.get(&source.image) {
            let is_it = kept.name.size_bytes == source.size_bytes
                && source
                    .digest
                    .is_none_or(|digest| digest == kept.name.digest);
            if !is_it {
                return Found::Stale;
            }
            kept.hits += 1;
            let now_us = now_us();
            let is_to_be_noted = now_us - kept.last_used_us >= NOTE_USE_EVERY_US;
            kept.last_used_us = now_us;
            return match kept.file() {
                Some(file) => {
                    if is_to_be_noted {
                        self.note_use(&file);
                    }
                    Found::Open(file)
                }
                None => {
                    kept.opens();
                    Found::Closed(kept.name.clone())
                }
            };
        }
        if let Some(flight) = shelf.flight(&source.image) {
            return Found::Flight(Arc::clone(flight), CacheAnswer::Coalesced);
        }
        let flight = Flight::new(source.clone());
        shelf.board(Arc::clone(&flight));
        if self.shared.fills.send(Arc::clone(&flight)).is_err() {
            // The node is ending.
            shelf.disembark(&flight);
            flight.finds_no_room();
        }
        Found::Flight(flight, CacheAnswer::Miss)
    }

    /// Opens a kept image's file; `None` when it is not kept any more.
    async fn open_kept(&self, name: &EntryName) -> Option<Arc<File>> {
        let opened = self.open_file(name).await;
        let is_it = |file: &File| file.metadata().is_ok_and(|metadata| name.fits(&metadata));
        let file = opened.ok().filter(is_it).map(Arc::new);
        {
            let mut shelf = self.shelf();
            let kept = shelf.get(&name.image).filter(|kept| kept.name == *name)?;
            kept.opened(file.as_ref());
        }
        match &file {
            Some(file) => self.note_use(file),
            None => {
                tracing::warn!(image_id = %name.image, "a cached image is gone or was changed");
                self.drop_kept(&name.image, Eviction::Damaged);
            }
        }
        file
    }

    async fn open_file(&self, name: &EntryName) -> io::Result<File> {
        match self.shared.folder.open_cached(name) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (folder, name) = (Arc::clone(&self.shared.folder), name.clone());
                let open = move || folder.open_kept(&name);
                self.shared.blocking.run(open).await
            }
            result => result,
        }
    }

    fn note_use(&self, file: &Arc<File>) {
        let (folder, file) = (Arc::clone(&self.shared.folder), Arc::clone(file));
        self.shared.blocking.start(move || folder.note_use(&file));
    }

    /// The queue of images that are to be fetched before anybody asks.
    pub fn queue(&self) -> &Queue {
        &self.shared.queue
    }

    /// Leaves the folder to a successor, or takes it back: what is kept is served and fills
    /// under way go on for their readers, but nothing is begun, kept or evicted. The successor
    /// removes the files of those fills; they take up room beside its own until they end.
    pub fn retire(&self, is_retired: bool) {
        self.shared.is_retired.store(is_retired, Ordering::Relaxed);
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

    pub(super) fn blocking(&self) -> &Blocking {
        &self.shared.blocking
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
            hits: kept.hits,
            last_accessed_s: kept.last_used_us as f64 / 1e6,
            last_modified_s: kept.name.written_ns as f64 / 1e9,
        }
    }
}

/// The time, in microseconds since the epoch.
pub(super) fn now_us() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX)
}
