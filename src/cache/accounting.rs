//! Accounting of the cache's space: cached images, running fills, and evicted files that are
//! still open. No I/O.
//!
//! Invariant: the sum of all three never exceeds the limit. A fill is counted with the size of the
//! whole image before its first byte is requested. An evicted image is counted until its file is
//! removed and the last reader has closed it, because the file system frees the blocks only then.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Weak};

use super::entry_name::EntryName;
use super::fill::Fill;
use super::usage::Usage;
use crate::image::ImageId;

/// Allocation unit of the file system; the size of a file is rounded up to it.
const FILE_BLOCK_BYTES: u64 = 4096;

/// The state of the cache, behind one lock.
#[derive(Debug)]
pub(super) struct Accounting {
    max_bytes: u64,
    entries: HashMap<ImageId, Entry>,
    fills: HashMap<ImageId, Arc<Fill>>,
    evicted_open: Vec<EvictedOpen>,
    cached_bytes: u64,
    filling_bytes: u64,
    evicted_open_bytes: u64,
    /// True if an image was read since the usage was last saved.
    usage_is_unsaved: bool,
}

/// A cached image.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: EntryName,
    /// The open file, shared by all its readers; dangling while nothing reads it.
    file: Weak<File>,
    /// Requests that are opening the file at the moment.
    opening: u32,
    pub(super) usage: Usage,
}

/// A removed file that may still be open.
#[derive(Debug)]
struct EvictedOpen {
    file: Weak<File>,
    bytes: u64,
}

/// The result of a request for space.
pub(super) enum Reservation {
    /// The space is available, and is counted for the fill.
    Granted,
    /// The caller must remove this image's file, call [`Accounting::removed`], and ask again.
    Evict(EntryName),
    /// There is too little space, even if every unused image were evicted.
    NoSpace,
}

/// The cache's space in use, by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpaceUsed {
    /// Bytes of cached images.
    pub cached_bytes: u64,
    /// Bytes reserved for running fills, each with the size of its whole image.
    pub filling_bytes: u64,
    /// Bytes of evicted files that are still open.
    pub evicted_open_bytes: u64,
}

/// Returns the disk space that a file of `size_bytes` takes, in bytes.
pub(super) fn cost_of(size_bytes: u64) -> u64 {
    size_bytes.next_multiple_of(FILE_BLOCK_BYTES)
}

impl Accounting {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            entries: HashMap::new(),
            fills: HashMap::new(),
            evicted_open: Vec::new(),
            cached_bytes: 0,
            filling_bytes: 0,
            evicted_open_bytes: 0,
            usage_is_unsaved: false,
        }
    }

    pub(super) fn space_used(&self) -> SpaceUsed {
        SpaceUsed {
            cached_bytes: self.cached_bytes,
            filling_bytes: self.filling_bytes,
            evicted_open_bytes: self.evicted_open_bytes,
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub(super) fn get(&mut self, image: &ImageId) -> Option<&mut Entry> {
        self.entries.get_mut(image)
    }

    pub(super) fn fill(&self, image: &ImageId) -> Option<&Arc<Fill>> {
        self.fills.get(image)
    }

    pub(super) fn fills(&self) -> impl Iterator<Item = &Arc<Fill>> {
        self.fills.values()
    }

    /// Adds a cached image, which must not be counted yet in any other way.
    pub(super) fn insert(&mut self, name: EntryName, file: &Weak<File>, usage: Usage) {
        self.cached_bytes += cost_of(name.size_bytes);
        let entry = Entry {
            file: Weak::clone(file),
            opening: 0,
            usage,
            name,
        };
        let before = self.entries.insert(entry.name.image, entry);
        debug_assert!(before.is_none(), "an image is cached at most once");
    }

    /// Records that a cached image is read.
    pub(super) fn record_hit(&mut self, image: &ImageId, now_us: i64) {
        if let Some(entry) = self.entries.get_mut(image) {
            entry.usage.hits += 1;
            entry.usage.last_us = now_us;
            self.usage_is_unsaved = true;
        }
    }

    /// Returns the usage of all cached images, or `None` if none was used since the last call.
    pub(super) fn take_unsaved_usage(&mut self) -> Option<Vec<(EntryName, Usage)>> {
        if !std::mem::take(&mut self.usage_is_unsaved) {
            return None;
        }
        let entry = self.entries.values();
        Some(
            entry
                .map(|entry| (entry.name.clone(), entry.usage))
                .collect(),
        )
    }

    /// Marks the usage as not saved, after saving it has failed.
    pub(super) fn mark_usage_unsaved(&mut self) {
        self.usage_is_unsaved = true;
    }

    /// Adds a fill, so that later requests find it. Its space is counted by
    /// [`Accounting::reserve`].
    pub(super) fn register_fill(&mut self, fill: Arc<Fill>) {
        self.fills.insert(fill.source.image, fill);
    }

    /// Removes a fill if it is the current one of its image, and returns true if it was.
    pub(super) fn unregister_fill(&mut self, fill: &Arc<Fill>) -> bool {
        self.is_current_fill(fill) && self.fills.remove(&fill.source.image).is_some()
    }

    /// Returns true if requests for the image find this fill, i.e. it was neither cancelled nor
    /// replaced by a later one.
    pub(super) fn is_current_fill(&self, fill: &Arc<Fill>) -> bool {
        // The image may have a newer fill by now, if this one was cancelled.
        let found = self.fill(&fill.source.image);
        found.is_some_and(|found| Arc::ptr_eq(found, fill))
    }

    /// Removes the fill of an image, so that later requests do not find it. The fill itself
    /// continues for the readers it has, but its file will not be cached.
    pub(super) fn cancel_fill(&mut self, image: &ImageId) {
        self.fills.remove(image);
    }

    /// Reserves `bytes` for a fill. `free_bytes` is the space of the disk that the cache may still
    /// use.
    pub(super) fn reserve(&mut self, bytes: u64, free_bytes: u64) -> Reservation {
        // Two limits apply, that of the cache and that of the disk; the larger shortage decides.
        let lacking = self.lacking(bytes).max(bytes.saturating_sub(free_bytes));
        let unused = self.entries.values().filter(|entry| !entry.is_in_use());
        let unused_bytes: u64 = unused.map(|entry| cost_of(entry.name.size_bytes)).sum();
        if lacking == 0 {
            self.filling_bytes += bytes;
            Reservation::Granted
        } else if unused_bytes < lacking {
            // Evicting would not help, so nothing is evicted in vain.
            Reservation::NoSpace
        } else {
            self.evict_least_recently_used()
        }
    }

    /// Returns the next image to evict so that the limit holds and the disk has `lacking` bytes
    /// more for other programs.
    pub(super) fn find_excess(&mut self, lacking: u64) -> Reservation {
        match self.lacking(0).max(lacking) {
            0 => Reservation::Granted,
            _ => self.evict_least_recently_used(),
        }
    }

    /// Returns how many bytes must be freed before `bytes` more fit.
    fn lacking(&mut self, bytes: u64) -> u64 {
        self.forget_closed_files();
        let used = self.cached_bytes + self.filling_bytes + self.evicted_open_bytes;
        (used + bytes).saturating_sub(self.max_bytes)
    }

    /// Removes the least recently read image that is not in use.
    fn evict_least_recently_used(&mut self) -> Reservation {
        let unused = self.entries.values().filter(|entry| !entry.is_in_use());
        // A linear search is cheap here: evictions are rare, and each one removes a file.
        let oldest = unused.min_by_key(|entry| entry.usage.last_us);
        let image = oldest.map(|entry| entry.name.image);
        let name = image.and_then(|image| self.remove_entry(&image));
        name.map_or(Reservation::NoSpace, Reservation::Evict)
    }

    /// Releases the reservation of a failed fill. The file stays counted while it is open.
    pub(super) fn release_reservation(&mut self, bytes: u64, file: &Weak<File>) {
        self.filling_bytes -= bytes;
        self.count_while_open(bytes, file);
    }

    /// Turns the reservation of a completed fill into a cached image.
    pub(super) fn convert_reservation(
        &mut self,
        bytes: u64,
        name: EntryName,
        file: &Weak<File>,
        now_us: i64,
    ) {
        self.filling_bytes -= bytes;
        self.insert(name, file, Usage::new(now_us));
    }

    /// Removes an image, so that later requests do not find it. Its bytes stay counted until
    /// [`Accounting::removed`], since its file still exists.
    pub(super) fn remove_entry(&mut self, image: &ImageId) -> Option<EntryName> {
        Some(self.entries.remove(image)?.name)
    }

    /// Records that the file of a removed entry was unlinked.
    pub(super) fn removed(&mut self, name: &EntryName, file: &Weak<File>) {
        let bytes = cost_of(name.size_bytes);
        self.cached_bytes -= bytes;
        self.count_while_open(bytes, file);
    }

    fn count_while_open(&mut self, bytes: u64, file: &Weak<File>) {
        // Without an open descriptor the file system has freed the space already.
        if file.strong_count() > 0 {
            self.evicted_open_bytes += bytes;
            self.evicted_open.push(EvictedOpen {
                file: Weak::clone(file),
                bytes,
            });
        }
    }

    /// Stops counting evicted files that have been closed.
    pub(super) fn forget_closed_files(&mut self) {
        let is_closed = |evicted: &mut EvictedOpen| evicted.file.strong_count() == 0;
        let freed: u64 = self
            .evicted_open
            .extract_if(.., is_closed)
            .map(|evicted| evicted.bytes)
            .sum();
        self.evicted_open_bytes -= freed;
    }
}

impl Entry {
    /// Returns true if the file is open or being opened; such an image must not be evicted.
    pub(super) fn is_in_use(&self) -> bool {
        self.opening > 0 || self.file.strong_count() > 0
    }

    /// Returns the open file, if a reader has it open already.
    pub(super) fn open_file(&self) -> Option<Arc<File>> {
        self.file.upgrade()
    }

    /// Returns a reference by which to see when the last reader has closed the file.
    pub(super) fn file_ref(&self) -> Weak<File> {
        Weak::clone(&self.file)
    }

    /// Protects the image from eviction while its file is being opened.
    pub(super) fn begin_open(&mut self) {
        self.opening += 1;
    }

    /// Registers a file that was opened, and returns the one to read. If two requests opened the
    /// file at the same time, both get the same descriptor, so that one `Weak` counts all readers.
    pub(super) fn share_file(&mut self, file: File) -> Arc<File> {
        self.open_file().unwrap_or_else(|| {
            let file = Arc::new(file);
            self.file = Arc::downgrade(&file);
            file
        })
    }

    /// Ends the protection of [`Entry::begin_open`].
    pub(super) fn end_open(&mut self) {
        self.opening -= 1;
    }
}
