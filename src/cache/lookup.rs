//! Requests for images: opens a cached file, joins a running fill, or starts one.
//!
//! A cached file is opened at most once at a time; all its readers share the descriptor. Before it
//! is served its length and time are compared with its name, so a file that something else has
//! changed is dropped instead.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::accounting::Entry;
use super::entry_name::EntryName;
use super::fill::{Fill, FillOutcome, FillSource};
use super::image_cache::{Cache, now_us};
use crate::error::{Error, Result};
use crate::metrics::{self, CacheLookup};
use crate::transfer::{FileSlice, Payload};

/// The state of an image in the cache.
enum Found {
    /// A cached file that another reader has open.
    Open(Arc<File>),
    /// A cached file that must be opened.
    Closed(PendingOpen),
    /// A fill, and how the request is counted in the metrics.
    Filling(Arc<Fill>, CacheLookup),
    /// A cached file of other data than the registry has now.
    Stale,
}

/// Protects a cached image from eviction while its file is being opened. Dropped, also when the
/// request is cancelled, the protection ends.
struct PendingOpen {
    cache: Cache,
    name: EntryName,
}

impl Cache {
    /// Opens `len` bytes of an image from `offset` on: from the cached file, or from the file of a
    /// running fill, which is started if there is none. Returns `None` if the caller must open the
    /// store instead: the image does not fit into the cache, or it has no checksum and the
    /// requested bytes have not arrived yet.
    ///
    /// # Errors
    /// The error of the store; `Internal` if the cache's disk fails.
    pub async fn open_image(
        &self,
        source: &FillSource,
        offset: u64,
        len: u64,
    ) -> Result<Option<Payload>> {
        let file = loop {
            match self.find(source) {
                Found::Open(file) => break file,
                Found::Closed(opening) => {
                    if let Some(file) = opening.open().await? {
                        break file;
                    }
                }
                // The registry has other data of the image now; the loop starts a fill for them.
                Found::Stale => {
                    self.forget(&source.image);
                }
                // An image without a checksum is downloaded in one piece from its first byte, so
                // the store serves a later range sooner than the fill.
                Found::Filling(fill, _) if source.digest.is_none() && !fill.covers(offset) => {
                    metrics::cache_lookup(CacheLookup::Bypass);
                    return Ok(None);
                }
                Found::Filling(fill, answer) => {
                    let slice = fill.slice(offset, len).await;
                    metrics::cache_lookup(match slice {
                        Ok(None) => CacheLookup::Bypass,
                        _ => answer,
                    });
                    return Ok(slice?.map(Payload::Partial));
                }
            }
        };
        self.accounting().record_hit(&source.image, now_us());
        metrics::cache_lookup(CacheLookup::Hit);
        Ok(Some(Payload::File(FileSlice { file, offset, len })))
    }

    /// Downloads an image into the cache unless it is there, and waits until it is.
    ///
    /// # Errors
    /// As [`Cache::open_image`].
    pub async fn fetch(&self, source: &FillSource) -> Result<FillOutcome> {
        loop {
            match self.find(source) {
                Found::Open(_) | Found::Closed(_) => return Ok(FillOutcome::Cached),
                Found::Filling(fill, _) => return fill.outcome().await,
                Found::Stale => {
                    self.forget(&source.image);
                }
            }
        }
    }

    /// Looks an image up, and starts a fill if the cache has nothing of it. Lookup and registration
    /// happen under one lock, so concurrent requests never start two fills.
    fn find(&self, source: &FillSource) -> Found {
        let mut accounting = self.accounting();
        if let Some(entry) = accounting.get(&source.image) {
            if !entry.matches(source) {
                return Found::Stale;
            }
            return match entry.open_file() {
                Some(file) => Found::Open(file),
                // Under the lock, so that the image cannot be evicted before its file is open.
                None => {
                    entry.begin_open();
                    Found::Closed(PendingOpen {
                        cache: self.clone(),
                        name: entry.name.clone(),
                    })
                }
            };
        }
        if let Some(fill) = accounting.fill(&source.image) {
            return Found::Filling(Arc::clone(fill), CacheLookup::Coalesced);
        }
        let fill = Fill::new(source.clone());
        accounting.register_fill(Arc::clone(&fill));
        if !self.submit(Arc::clone(&fill)) {
            // The filler has stopped because the process is shutting down.
            accounting.unregister_fill(&fill);
            fill.set_no_space();
        }
        Found::Filling(fill, CacheLookup::Miss)
    }

    /// Opens a cached file, on another thread if opening it may have to wait for the disk.
    async fn open_file(&self, name: &EntryName) -> io::Result<File> {
        // The common case is a name in the kernel's cache, which needs no thread.
        match self.folder().open_without_blocking(name) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (folder, name) = (Arc::clone(self.folder()), name.clone());
                let open = move || folder.open_blocking(&name);
                self.blocking().run(open).await
            }
            result => result,
        }
    }
}

impl PendingOpen {
    /// Opens the file. Returns `None` if it is missing or was changed, or was removed meanwhile.
    async fn open(self) -> Result<Option<Arc<File>>> {
        let file = match self.cache.open_file(&self.name).await {
            Ok(file) => Some(file).filter(|file| self.is_unchanged(file)),
            Err(error) if is_missing(&error) => None,
            // The process or the disk has failed (EMFILE, EIO). Downloading again would not help.
            Err(error) => return Err(Error::of_io(error)),
        };
        let Some(file) = file else {
            self.cache.drop_damaged(&self.name);
            return Ok(None);
        };
        let mut accounting = self.cache.accounting();
        let entry = self.same_entry(accounting.get(&self.name.image));
        Ok(entry.map(|entry| entry.share_file(file)))
    }

    fn is_unchanged(&self, file: &File) -> bool {
        let metadata = file.metadata();
        metadata.is_ok_and(|metadata| self.name.fits(&metadata))
    }

    /// Returns the entry unless it is of another file: the image may have been evicted and fetched
    /// again while its file was being opened.
    fn same_entry<'a>(&self, entry: Option<&'a mut Entry>) -> Option<&'a mut Entry> {
        entry.filter(|entry| entry.name == self.name)
    }
}

impl Drop for PendingOpen {
    fn drop(&mut self) {
        let mut accounting = self.cache.accounting();
        if let Some(entry) = self.same_entry(accounting.get(&self.name.image)) {
            entry.end_open();
        }
    }
}

impl Entry {
    /// Returns true if the cached data are those that the registry describes.
    fn matches(&self, source: &FillSource) -> bool {
        let has_digest = |digest| digest == self.name.digest;
        self.name.size_bytes == source.size_bytes && source.digest.is_none_or(has_digest)
    }
}

/// Returns true if there is no such file, or a symbolic link instead of it.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ELOOP)
}
