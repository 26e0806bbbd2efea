//! Finding what the journal has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::super::super::codec::{self, CodecError};
use super::super::super::{Record, Version};
use super::frame::{MAX_FRAME_BYTES, Parsed, parse};
use crate::image::ImageId;

/// Bytes that are read at a time.
const WINDOW_BYTES: usize = 1 << 20;
const _: () = assert!(WINDOW_BYTES > 2 * MAX_FRAME_BYTES);

/// Where the newest record of an image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct FrameLocation {
    pub(in super::super) version: Version,
    offset: u64,
    bytes: usize,
}

/// What a journal has.
#[derive(Debug, Default)]
pub(in super::super) struct Contents {
    pub(in super::super) newest: HashMap<ImageId, FrameLocation>,
    /// Where the last record ends.
    pub(super) end: u64,
    /// Bytes before that which belong to no record.
    pub(super) damaged_bytes: u64,
    /// Bytes behind it: what the end of a process cut off.
    pub(super) torn_bytes: u64,
}

/// Reads the file from its beginning.
pub(super) fn scan(mut file: &File) -> io::Result<Contents> {
    let mut contents = Contents::default();
    let mut window = Vec::with_capacity(WINDOW_BYTES);
    let (mut at, mut is_over) = (0, false);
    // Where the window begins in the file.
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
        at += contents.take(&window[at..], base + at as u64);
    }
}

impl Contents {
    /// Whether bytes between its records belong to no record.
    pub(in super::super) fn is_damaged(&self) -> bool {
        self.damaged_bytes > 0
    }

    /// Whether the journal holds every record, so that sled is not needed.
    pub(in super::super) fn is_complete(&self) -> bool {
        !self.is_damaged() && !self.newest.is_empty()
    }

    /// Whether the journal says that an image is forgotten.
    pub(in super::super) fn purges(&self, id: &ImageId) -> bool {
        self.newest
            .get(id)
            .is_some_and(|location| location.is_purged())
    }

    /// An image that is forgotten, and the version that says so.
    pub(in super::super) fn purged(&self, id: &ImageId) -> Option<(ImageId, Version)> {
        let location = self
            .newest
            .get(id)
            .filter(|location| location.is_purged())?;
        Some((*id, location.version))
    }

    /// Takes in what stands at this place. How many bytes that were.
    fn take(&mut self, bytes: &[u8], offset: u64) -> usize {
        let Parsed::Whole {
            id,
            version,
            frame_bytes,
            record_at,
        } = parse(bytes)
        else {
            return 1;
        };
        self.damaged_bytes += offset - self.end;
        self.end = offset + frame_bytes as u64;
        let location = FrameLocation {
            version,
            offset: offset + record_at as u64,
            bytes: frame_bytes - record_at,
        };
        match self.newest.entry(id) {
            // An image that was forgotten may have been registered again, from version 1 on.
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
    /// Whether the image was forgotten: an empty record says so.
    pub(in super::super) fn is_purged(self) -> bool {
        self.bytes == 0
    }

    /// The record, and its bytes.
    pub(super) fn read(self, file: &File) -> io::Result<(Record, Vec<u8>)> {
        let mut bytes = vec![0; self.bytes];
        file.read_exact_at(&mut bytes, self.offset)?;
        let invalid = |error: CodecError| io::Error::new(io::ErrorKind::InvalidData, error);
        Ok((codec::decode(&bytes).map_err(invalid)?, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::push;
    use super::*;
    use std::io::Write;

    fn scanned(bytes: &[u8]) -> Contents {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut file = file;
        std::io::Seek::rewind(&mut file).unwrap();
        scan(&file).unwrap()
    }

    #[test]
    fn the_newest_of_each_over_many_windows() {
        let ids: Vec<ImageId> = (0..50).map(|_| ImageId::random()).collect();
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
    fn damage_costs_what_is_damaged() {
        let ids: Vec<ImageId> = (0..3).map(|_| ImageId::random()).collect();
        let mut bytes = Vec::new();
        for id in &ids {
            push(&mut bytes, id, 1, &[1; 1000]);
        }
        let frame = bytes.len() / 3;
        let whole = bytes.len() as u64;
        // The length of the second, then a byte in its midst, then all of it.
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
