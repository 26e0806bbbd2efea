//! What those get who ask for images: a kept file, a part of one on its way, or nothing.

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

/// What there is of an image.
enum Found {
    Open(Arc<File>),
    Closed(Opening),
    Filling(Arc<Fill>, CacheLookup),
    /// Something else is kept under its name.
    Stale,
}

/// A kept image whose file is being opened: it does not leave meanwhile, nor stay for ever
/// when whoever opens it is gone.
struct Opening {
    cache: Cache,
    name: EntryName,
}

impl Cache {
    /// `len` bytes of an image from `offset` on: of the kept file, or of the one that is
    /// being filled. `None` when the origin is to be asked: there is no room for the image, or
    /// a part of one without a checksum is wanted that the fill has not come to yet.
    ///
    /// # Errors
    /// Those of the origin; `Internal` when the cache's disk fails.
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
                Found::Stale => {
                    self.forget(&source.image);
                }
                // Without a checksum there is nothing to wait for that the origin cannot send.
                Found::Filling(fill, _) if source.digest.is_none() && !fill.has(offset) => {
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
        self.accounting().hit(&source.image, now_us());
        metrics::cache_lookup(CacheLookup::Hit);
        Ok(Some(Payload::File(FileSlice { file, offset, len })))
    }

    /// Has an image fetched, unless it is kept, and waits until it is.
    ///
    /// # Errors
    /// As [`Cache::open_image`].
    pub async fn fetch(&self, source: &FillSource) -> Result<FillOutcome> {
        loop {
            match self.find(source) {
                Found::Open(_) | Found::Closed(_) => return Ok(FillOutcome::Cached),
                Found::Filling(fill, _) => return fill.ended().await,
                Found::Stale => {
                    self.forget(&source.image);
                }
            }
        }
    }

    /// What there is of an image; where there is nothing, a fill is begun.
    fn find(&self, source: &FillSource) -> Found {
        let mut accounting = self.accounting();
        if let Some(kept) = accounting.get(&source.image) {
            if !kept.is_of(source) {
                return Found::Stale;
            }
            return match kept.file() {
                Some(file) => Found::Open(file),
                None => {
                    kept.begin_open();
                    Found::Closed(Opening {
                        cache: self.clone(),
                        name: kept.name.clone(),
                    })
                }
            };
        }
        if let Some(fill) = accounting.fill(&source.image) {
            return Found::Filling(Arc::clone(fill), CacheLookup::Coalesced);
        }
        let fill = Fill::new(source.clone());
        accounting.register_fill(Arc::clone(&fill));
        if !self.send(Arc::clone(&fill)) {
            // The node is ending.
            accounting.unregister_fill(&fill);
            fill.set_no_space();
        }
        Found::Filling(fill, CacheLookup::Miss)
    }

    /// Opens a kept image's file, off the worker if that may wait for a disk.
    async fn open_file(&self, name: &EntryName) -> io::Result<File> {
        match self.folder().open_cached(name) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let (folder, name) = (Arc::clone(self.folder()), name.clone());
                let open = move || folder.open_kept(&name);
                self.blocking().run(open).await
            }
            result => result,
        }
    }
}

impl Opening {
    /// The file; `None` when the image is not kept any more.
    async fn open(self) -> Result<Option<Arc<File>>> {
        let file = match self.cache.open_file(&self.name).await {
            Ok(file) => Some(file).filter(|file| self.is_as_it_was(file)),
            Err(error) if is_gone(&error) => None,
            // Of the process or the disk, and no reason to fetch it again.
            Err(error) => return Err(Error::of_io(error)),
        };
        let Some(file) = file else {
            self.cache.drop_damaged(&self.name);
            return Ok(None);
        };
        let mut accounting = self.cache.accounting();
        let kept = self.kept(accounting.get(&self.name.image));
        Ok(kept.map(|kept| kept.share_file(file)))
    }

    fn is_as_it_was(&self, file: &File) -> bool {
        let metadata = file.metadata();
        metadata.is_ok_and(|metadata| self.name.fits(&metadata))
    }

    /// What is kept, if it is still what is being opened.
    fn kept<'a>(&self, kept: Option<&'a mut Entry>) -> Option<&'a mut Entry> {
        kept.filter(|kept| kept.name == self.name)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut accounting = self.cache.accounting();
        if let Some(kept) = self.kept(accounting.get(&self.name.image)) {
            kept.end_open();
        }
    }
}

impl Entry {
    /// Whether it is what the registry says the image is.
    fn is_of(&self, source: &FillSource) -> bool {
        let has_digest = |digest| digest == self.name.digest;
        self.name.size_bytes == source.size_bytes && source.digest.is_none_or(has_digest)
    }
}

/// Whether there is no such file, or something that is none of ours in its place.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ELOOP)
}
