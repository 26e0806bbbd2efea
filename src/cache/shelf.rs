//! The books of the cache: what is kept, what is being filled, what is on its way out, and
//! how many bytes all of it takes up. No I/O.
//!
//! The sum never passes the limit: a fill is counted whole before it has a byte, an image
//! that leaves is counted until its file is removed and nobody reads it any more.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Weak};

use super::flight::Flight;
use super::name::EntryName;
use super::usage::Usage;
use crate::image::ImageId;

/// What a file system hands out.
const FILE_BLOCK_BYTES: u64 = 4096;

/// The books.
#[derive(Debug)]
pub(super) struct Shelf {
    max_bytes: u64,
    kept: HashMap<ImageId, Kept>,
    flights: HashMap<ImageId, Arc<Flight>>,
    leaving: Vec<Leaving>,
    kept_bytes: u64,
    filling_bytes: u64,
    leaving_bytes: u64,
    /// Whether anything was used that was not written down.
    has_news: bool,
}

/// A kept image.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) name: EntryName,
    /// Its file, while it is being read.
    file: Weak<File>,
    /// Requests that are opening its file.
    opening: u32,
    pub(super) usage: Usage,
}

/// A file that has lost its name and may still be read.
#[derive(Debug)]
struct Leaving {
    file: Weak<File>,
    bytes: u64,
}

/// What has to happen for a fill to have room.
pub(super) enum Room {
    /// It has it, and is counted.
    Taken,
    /// This image's file has to be removed first. Then [`Shelf::removed`] is to be told.
    Evict(EntryName),
    /// It cannot have it now.
    None,
}

/// Bytes that the books count, by what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Of images that are kept.
    pub kept_bytes: u64,
    /// Of images that are being fetched, whole.
    pub filling_bytes: u64,
    /// Of files that are removed and still read.
    pub leaving_bytes: u64,
}

/// What a file of so many bytes takes up.
pub(super) fn cost_of(size_bytes: u64) -> u64 {
    size_bytes.next_multiple_of(FILE_BLOCK_BYTES)
}

impl Shelf {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            kept: HashMap::new(),
            flights: HashMap::new(),
            leaving: Vec::new(),
            kept_bytes: 0,
            filling_bytes: 0,
            leaving_bytes: 0,
            has_news: false,
        }
    }

    pub(super) fn counted(&self) -> Counted {
        Counted {
            kept_bytes: self.kept_bytes,
            filling_bytes: self.filling_bytes,
            leaving_bytes: self.leaving_bytes,
        }
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = &Kept> {
        self.kept.values()
    }

    pub(super) fn get(&mut self, image: &ImageId) -> Option<&mut Kept> {
        self.kept.get_mut(image)
    }

    pub(super) fn flight(&self, image: &ImageId) -> Option<&Arc<Flight>> {
        self.flights.get(image)
    }

    pub(super) fn flights(&self) -> impl Iterator<Item = &Arc<Flight>> {
        self.flights.values()
    }

    /// An image is kept from now on, and not counted yet as anything else.
    pub(super) fn keep(&mut self, name: EntryName, file: &Weak<File>, usage: Usage) {
        self.kept_bytes += cost_of(name.size_bytes);
        let kept = Kept {
            file: Weak::clone(file),
            opening: 0,
            usage,
            name,
        };
        let before = self.kept.insert(kept.name.image, kept);
        debug_assert!(before.is_none(), "one image is kept once");
    }

    /// A kept image is read once more.
    pub(super) fn hit(&mut self, image: &ImageId, now_us: i64) {
        if let Some(kept) = self.kept.get_mut(image) {
            kept.usage.hits += 1;
            kept.usage.last_us = now_us;
            self.has_news = true;
        }
    }

    /// How the kept images were used, if that has changed since it was asked for.
    pub(super) fn news(&mut self) -> Option<Vec<(EntryName, Usage)>> {
        if !std::mem::take(&mut self.has_news) {
            return None;
        }
        let kept = self.kept.values();
        Some(kept.map(|kept| (kept.name.clone(), kept.usage)).collect())
    }

    /// The news could not be written down.
    pub(super) fn has_news_again(&mut self) {
        self.has_news = true;
    }

    /// A fill begins; [`Shelf::take_room`] counts it.
    pub(super) fn board(&mut self, flight: Arc<Flight>) {
        self.flights.insert(flight.source.image, flight);
    }

    /// A fill has ended, or nobody is to find it any more. Whether it was there.
    pub(super) fn disembark(&mut self, flight: &Arc<Flight>) -> bool {
        self.has_on_board(flight) && self.flights.remove(&flight.source.image).is_some()
    }

    /// Whether those who ask for an image find this fill.
    pub(super) fn has_on_board(&self, flight: &Arc<Flight>) -> bool {
        let found = self.flight(&flight.source.image);
        found.is_some_and(|found| Arc::ptr_eq(found, flight))
    }

    /// The fill of an image is to be found by nobody any more.
    pub(super) fn call_off(&mut self, image: &ImageId) {
        self.flights.remove(image);
    }

    /// Counts a fill if there is room; says what to remove first if there is too little.
    /// `free_bytes` may be taken of the disk.
    pub(super) fn take_room(&mut self, bytes: u64, free_bytes: u64) -> Room {
        let lacking = self.lacking(bytes).max(bytes.saturating_sub(free_bytes));
        let idle = self.kept.values().filter(|kept| !kept.is_read());
        let idle_bytes: u64 = idle.map(|kept| cost_of(kept.name.size_bytes)).sum();
        if lacking == 0 {
            self.filling_bytes += bytes;
            Room::Taken
        } else if idle_bytes < lacking {
            // For what will not fit all the same nothing has to leave.
            Room::None
        } else {
            self.least_used()
        }
    }

    /// What has to leave for the limit to hold, and for others to have `lacking` bytes more.
    pub(super) fn find_room_for_others(&mut self, lacking: u64) -> Room {
        match self.lacking(0).max(lacking) {
            0 => Room::Taken,
            _ => self.least_used(),
        }
    }

    /// How many bytes have to leave for so many to come.
    fn lacking(&mut self, bytes: u64) -> u64 {
        self.reap();
        let used = self.kept_bytes + self.filling_bytes + self.leaving_bytes;
        (used + bytes).saturating_sub(self.max_bytes)
    }

    /// Takes off what was read longest ago and is not being read.
    fn least_used(&mut self) -> Room {
        let idle = self.kept.values().filter(|kept| !kept.is_read());
        let least = idle.min_by_key(|kept| kept.usage.last_us);
        let image = least.map(|kept| kept.name.image);
        let name = image.and_then(|image| self.take_off(&image));
        name.map_or(Room::None, Room::Evict)
    }

    /// A fill has come to nothing; its file may still be read.
    pub(super) fn release(&mut self, bytes: u64, file: &Weak<File>) {
        self.filling_bytes -= bytes;
        self.leave(bytes, file);
    }

    /// A fill is a kept image now.
    pub(super) fn settle(&mut self, bytes: u64, name: EntryName, file: &Weak<File>, now_us: i64) {
        self.filling_bytes -= bytes;
        self.keep(name, file, Usage::new(now_us));
    }

    /// Takes an image off the books' list; its bytes count until [`Shelf::removed`].
    pub(super) fn take_off(&mut self, image: &ImageId) -> Option<EntryName> {
        Some(self.kept.remove(image)?.name)
    }

    /// The file of an image that was taken off is removed.
    pub(super) fn removed(&mut self, name: &EntryName, file: &Weak<File>) {
        let bytes = cost_of(name.size_bytes);
        self.kept_bytes -= bytes;
        self.leave(bytes, file);
    }

    fn leave(&mut self, bytes: u64, file: &Weak<File>) {
        if file.strong_count() > 0 {
            self.leaving_bytes += bytes;
            self.leaving.push(Leaving {
                file: Weak::clone(file),
                bytes,
            });
        }
    }

    /// Forgets files that nobody reads any more.
    pub(super) fn reap(&mut self) {
        let gone = |leaving: &mut Leaving| leaving.file.strong_count() == 0;
        let reaped: u64 = self
            .leaving
            .extract_if(.., gone)
            .map(|gone| gone.bytes)
            .sum();
        self.leaving_bytes -= reaped;
    }
}

impl Kept {
    /// Whether somebody reads it, or is about to.
    pub(super) fn is_read(&self) -> bool {
        self.opening > 0 || self.file.strong_count() > 0
    }

    /// The file, if somebody reads it already.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.file.upgrade()
    }

    /// A reference that tells whether it is read.
    pub(super) fn watch(&self) -> Weak<File> {
        Weak::clone(&self.file)
    }

    /// Its file is being opened: it must not leave now.
    pub(super) fn opens(&mut self) {
        self.opening += 1;
    }

    /// Its file was opened. Returned is the file that is to be read: where two have opened
    /// it at once there is one, so that whoever reads it is known.
    pub(super) fn is_open_as(&mut self, file: File) -> Arc<File> {
        self.file().unwrap_or_else(|| {
            let file = Arc::new(file);
            self.file = Arc::downgrade(&file);
            file
        })
    }

    /// Whoever opened its file is done with that.
    pub(super) fn opened(&mut self) {
        self.opening -= 1;
    }
}
