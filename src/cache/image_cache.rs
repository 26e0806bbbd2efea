//! The cache's handle: opening its folder, usage records, retirement, and what it reports.
//!
//! The service, the admin API and the prefetcher hold a [`Cache`]; requests for images are in
//! `lookup`, eviction is in `eviction`. All state is in [`Accounting`] behind one lock, which is
//! never held across I/O.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::mpsc;

use super::CacheError;
use super::accounting::{Accounting, Entry, SpaceUsed};
use super::fill::{Fill, FillProgress};
use super::folder::CacheFolder;
use super::prefetch_queue::PrefetchQueue;
use super::usage::{SavedUsage, format_record};
use crate::clock;
use crate::image::ImageId;
use crate::transfer::BlockingPool;

/// The cache's options.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// The folder (`image_cache_dir`).
    pub folder: PathBuf,
    /// The largest size of the cache, in bytes.
    pub max_bytes: u64,
    /// Bytes of the disk that the cache leaves free.
    pub min_free_bytes: u64,
}

/// A cache of images. Cheap to clone; clones share the cache.
#[derive(Debug, Clone)]
pub struct Cache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: CacheOptions,
    folder: Arc<CacheFolder>,
    accounting: Mutex<Accounting>,
    /// Held while space is reserved or evicted, which involves I/O between two reads of the
    /// accounting. Without it two fills could be promised the same free disk space.
    eviction_lock: tokio::sync::Mutex<()>,
    fills: mpsc::UnboundedSender<Arc<Fill>>,
    blocking: BlockingPool,
    queue: PrefetchQueue,
    /// True while another process owns the folder.
    is_retired: AtomicBool,
}

/// A cached image, as reported to operators.
#[derive(Debug, Clone)]
pub struct CachedImage {
    /// The image's identifier.
    pub image: ImageId,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Number of reads since the image was cached. A crash loses those of the last seconds.
    pub hits: u64,
    /// Time of the last read, in seconds since the epoch.
    pub last_accessed_s: f64,
    /// Time when the download completed, in seconds since the epoch.
    pub last_modified_s: f64,
}

/// Requested fills, received by the [`super::Filler`].
pub(super) type FillReceiver = mpsc::UnboundedReceiver<Arc<Fill>>;

impl Cache {
    /// Opens the folder and loads the images that an earlier process cached. The receiver is for
    /// the [`super::Filler`]. Blocks.
    pub(super) fn open(
        options: CacheOptions,
        blocking: BlockingPool,
    ) -> std::result::Result<(Self, FillReceiver), CacheError> {
        let failed = |cause| CacheError {
            folder: options.folder.clone(),
            cause,
        };
        let folder = Arc::new(CacheFolder::open(&options.folder).map_err(failed)?);
        let mut accounting = Accounting::new(options.max_bytes);
        let saved = SavedUsage::parse(&folder.saved_usage().map_err(failed)?);
        for name in folder.scan().map_err(failed)? {
            let usage = saved.of(&name);
            accounting.insert(name, &Weak::new(), usage);
        }
        let queued = folder.queued().map_err(failed)?;
        let queue = PrefetchQueue::new(Arc::clone(&folder), blocking.clone(), queued);
        let (fills, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            options,
            folder,
            accounting: Mutex::new(accounting),
            eviction_lock: tokio::sync::Mutex::default(),
            fills,
            blocking,
            queue,
            is_retired: AtomicBool::new(false),
        };
        let shared = Arc::new(shared);
        Ok((Self { shared }, receiver))
    }

    /// Returns the queue of images to prefetch.
    pub fn queue(&self) -> &PrefetchQueue {
        &self.shared.queue
    }

    /// Hands the folder over to a successor process (`true`) or takes it back (`false`).
    ///
    /// A retired cache serves its images, and running fills continue for their readers, but it
    /// starts no fill and neither adds nor evicts an image. The successor unlinks the files of
    /// those fills; until they end they use space beside the successor's limit.
    ///
    /// Blocks: the usage is saved first, so that the successor can load it.
    pub fn set_retired(&self, is_retired: bool) {
        // Before the flag is set, because a retired cache does not write to the folder.
        if is_retired {
            self.save_usage_now();
        }
        self.shared.is_retired.store(is_retired, Ordering::Relaxed);
    }

    /// Saves the usage of images if it has changed. A failure is logged, and the next call tries
    /// again.
    pub(super) async fn save_usage(&self) {
        if self.is_retired() {
            return;
        }
        let Some(usages) = self.accounting().take_unsaved_usage() else {
            return;
        };
        let folder = Arc::clone(self.folder());
        let save = move || folder.save_usage(&format_record(&usages));
        let saved = self.blocking().run(save).await;
        self.log_if_unsaved(saved);
    }

    /// Saves the usage of images at shutdown. Blocks.
    pub fn save_usage_now(&self) {
        if self.is_retired() {
            return;
        }
        if let Some(usages) = self.accounting().take_unsaved_usage() {
            self.log_if_unsaved(self.folder().save_usage(&format_record(&usages)));
        }
    }

    fn log_if_unsaved(&self, saved: io::Result<()>) {
        if let Err(error) = saved {
            tracing::warn!(%error, "cannot save the usage of cached images; retrying");
            self.accounting().mark_usage_unsaved();
        }
    }

    /// Returns true while a successor process owns the folder.
    pub fn is_retired(&self) -> bool {
        self.shared.is_retired.load(Ordering::Relaxed)
    }

    /// Returns true if an image is cached.
    pub fn contains(&self, image: &ImageId) -> bool {
        self.accounting().get(image).is_some()
    }

    /// Returns the cached images, ordered by identifier.
    pub fn images(&self) -> Vec<CachedImage> {
        let mut images: Vec<_> = self.accounting().entries().map(CachedImage::of).collect();
        images.sort_by_key(|image| image.image);
        images
    }

    /// Returns the progress of the running fills, oldest first.
    pub fn fills(&self) -> Vec<FillProgress> {
        let accounting = self.accounting();
        let mut fills: Vec<_> = accounting.fills().map(|fill| fill.progress()).collect();
        fills.sort_by_key(|fill| std::cmp::Reverse(fill.elapsed));
        fills
    }

    /// Returns the cache's options.
    pub fn options(&self) -> &CacheOptions {
        &self.shared.options
    }

    /// Returns the space in use and the number of cached images.
    pub fn space_used(&self) -> (SpaceUsed, usize) {
        let mut accounting = self.accounting();
        accounting.forget_closed_files();
        (accounting.space_used(), accounting.entries().count())
    }

    pub(super) fn accounting(&self) -> MutexGuard<'_, Accounting> {
        // Every method of `Accounting` leaves it consistent, so a panic of another thread while it
        // held the lock does no harm.
        let locked = self.shared.accounting.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn folder(&self) -> &Arc<CacheFolder> {
        &self.shared.folder
    }

    pub(super) fn blocking(&self) -> &BlockingPool {
        &self.shared.blocking
    }

    /// Submits a fill to the filler. Returns false if the filler has stopped.
    pub(super) fn submit(&self, fill: Arc<Fill>) -> bool {
        self.shared.fills.send(fill).is_ok()
    }

    pub(super) fn eviction_lock(&self) -> &tokio::sync::Mutex<()> {
        &self.shared.eviction_lock
    }
}

impl CachedImage {
    fn of(entry: &Entry) -> Self {
        Self {
            image: entry.name.image,
            size_bytes: entry.name.size_bytes,
            hits: entry.usage.hits,
            last_accessed_s: entry.usage.last_us as f64 / 1e6,
            last_modified_s: entry.name.written_ns as f64 / 1e9,
        }
    }
}

/// Returns the current time in microseconds since the epoch.
pub(super) fn now_us() -> i64 {
    clock::micros(clock::since_epoch())
}
