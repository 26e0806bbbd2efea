//! Scans a journal file: finds the newest frame of each key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::super::super::codec::{self, CodecError};
use super::super::super::documents::{self, Document};
use super::super::super::{Record, Version};
use super::super::key::Key;
use super::frame::{MAX_FRAME_BYTES, Parsed, parse};

/// Bytes that are read at a time.
const WINDOW_BYTES: usize = 1 << 20;
const _: () = assert!(WINDOW_BYTES > 2 * MAX_FRAME_BYTES);

/// The position of an item in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct FrameLocation {
    pub(in super::super) version: Version,
    offset: u64,
    bytes: usize,
}

/// The content of a journal file.
#[derive(Debug, Default)]
pub(in super::super) struct Contents {
    pub(in super::super) newest: HashMap<Key, FrameLocation>,
    /// The highest version that was assigned to a document.
    pub(in super::super) document_version: Version,
    /// Offset behind the last frame.
    pub(super) end: u64,
    /// Bytes before `end` that belong to no frame.
    pub(super) damaged_bytes: u64,
    /// Bytes behind `end`: a frame that was cut off when a process ended.
    pub(super) torn_bytes: u64,
}

/// Reads a journal from its beginning.
pub(super) fn scan(mut file: &File) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let mut window = Vec::with_capacity(WINDOW_BYTES);
    let (mut at, mut is_over) = (0, false);
    // Offset of the window in the file.
    let mut base = 0;
    loop {
        if !is_over && window.len() - at < MAX_FRAME_BYTES {
            window.drain(..at);
            base += at as u64;
            at = 0;
            let missing = (WINDOW_BYTES - window.len()) as u64;
            is_over = Read::take(&mut file, missing).read_to_end(&mut window)? == 0;
            continue;
        }
        if at == window.len() {
            contents.torn_bytes = base + at as u64 - contents.end;
            return Ok(contents);
        }
        at += contents.add(&window[at..], base + at as u64);
    }
}

impl Contents {
    /// Returns true if bytes between frames belong to no frame.
    pub(in super::super) fn is_damaged(&self) -> bool {
        self.damaged_bytes > 0
    }

    /// Returns true if the journal holds every item, so that sled is not needed.
    pub(in super::super) fn is_complete(&self) -> bool {
        !self.is_damaged() && !self.newest.is_empty()
    }

    /// Returns true if the newest frame of the key is a tombstone.
    pub(in super::super) fn purges(&self, key: &Key) -> bool {
        self.purged(key).is_some()
    }

    /// Returns the key and the version of its tombstone if the newest frame is one.
    pub(in super::super) fn purged(&self, key: &Key) -> Option<(Key, Version)> {
        let location = self.newest.get(key);
        let location = location.filter(|location| location.is_purged())?;
        Some((key.clone(), location.version))
    }

    /// Adds the frame at the beginning of `bytes` and returns its length. Without a frame, one
    /// byte is skipped: the next frame is found behind any damage.
    fn add(&mut self, bytes: &[u8], offset: u64) -> usize {
        let Parsed::Whole {
            key,
            version,
            frame_bytes,
            item_at,
        } = parse(bytes)
        else {
            return 1;
        };
        self.damaged_bytes += offset - self.end;
        self.end = offset + frame_bytes as u64;
        if let Key::Document(_) = key {
            self.document_version = self.document_version.max(version);
        }
        let location = FrameLocation {
            version,
            offset: offset + item_at as u64,
            bytes: frame_bytes - item_at,
        };
        match self.newest.entry(key) {
            // Earlier releases inserted a removed image again from version 1 on.
            Entry::Occupied(mut known)
                if known.get().is_purged() || known.get().version <= version =>
            {
                known.insert(location);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(vacant) => {
                vacant.insert(location);
            }
        }
        frame_bytes
    }
}

impl FrameLocation {
    /// Returns true if the frame is a tombstone, which has an empty item.
    pub(in super::super) fn is_purged(self) -> bool {
        self.bytes == 0
    }

    pub(super) fn read_record(self, file: &File) -> io::Result<Record> {
        codec::decode(&self.read(file)?).map_err(invalid)
    }

    pub(super) fn read_document(self, file: &File) -> io::Result<Document> {
        documents::decode(&self.read(file)?).map_err(invalid)
    }

    fn read(self, file: &File) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.bytes];
        file.read_exact_at(&mut bytes, self.offset)?;
        Ok(bytes)
    }
}

fn invalid(error: CodecError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::super::frame::push;
    use super::*;
    use crate::image::ImageId;
    use std::io::Write;

    fn scanned(bytes: &[u8]) -> Contents {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut file = file;
        std::io::Seek::rewind(&mut file).unwrap();
        scan(&file).unwrap()
    }

    #[test]
    fn newest_frame_of_each_key_is_found_over_many_windows() {
        let image = |_| Key::Image(ImageId::random());
        let ids: Vec<Key> = (0..50).map(image).collect();
        let mut bytes = Vec::new();
        for version in 1..=3 {
            for id in &ids {
                push(&mut bytes, id, version, &vec![0xaa; 30_000]);
            }
        }
        push(&mut bytes, &ids[0], 2, b"late");
        let contents = scanned(&bytes);
        assert_eq!(contents.newest.len(), 50);
        assert!(
            contents
                .newest
                .values()
                .all(|location| location.version == 3)
        );
        assert_eq!(
            (contents.end, contents.damaged_bytes),
            (bytes.len() as u64, 0)
        );
        assert_eq!(contents.torn_bytes, 0);
    }

    #[test]
    fn damage_affects_only_the_damaged_frames() {
        let image = |_| Key::Image(ImageId::random());
        let ids: Vec<Key> = (0..3).map(image).collect();
        let mut bytes = Vec::new();
        for id in &ids {
            push(&mut bytes, id, 1, &[1; 1000]);
        }
        let frame = bytes.len() / 3;
        let whole = bytes.len() as u64;
        // The length of the second frame, then a byte inside it, then all of it.
        for damage in [
            frame + 5..frame + 6,
            frame + 500..frame + 501,
            frame..2 * frame,
        ] {
            let mut damaged = bytes.clone();
            damaged[damage].iter_mut().for_each(|byte| *byte ^= 0xff);
            let contents = scanned(&damaged);
            let has = |id| contents.newest.contains_key(id);
            assert!(has(&ids[0]) && !has(&ids[1]) && has(&ids[2]));
            assert_eq!(
                (contents.damaged_bytes, contents.end),
                (frame as u64, whole)
            );
        }
        let contents = scanned(&bytes[..bytes.len() - 1]);
        assert_eq!(contents.newest.len(), 2);
        assert_eq!(contents.torn_bytes, frame as u64 - 1);
        assert_eq!(scanned(&[]).end, 0);
    }
}
