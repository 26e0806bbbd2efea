//! Disk space for the journal, allocated before it is needed.
//!
//! A file system that others fill must not make the registry fail. So space behind the end of
//! the journal is allocated in advance, and a part of it, the reserve, is left to the writes
//! that end something: deletions, and the ends of uploads. Where the file system cannot
//! allocate in advance, the free space is compared instead, which others can take meanwhile.

use std::fs::File;
use std::io;

use crate::transfer::{allocate_ahead, free_bytes};

/// Bytes that are allocated at a time.
const STEP_BYTES: u64 = 1 << 20;

/// The known disk space behind the end of the journal.
#[derive(Debug)]
pub(super) struct Space {
    reserve_bytes: u64,
    /// Offset up to which space is allocated.
    allocated_to: u64,
    can_allocate: bool,
}

impl Space {
    /// Nothing is allocated yet behind the end of the journal.
    pub(super) fn new(end: u64, reserve_bytes: u64) -> Self {
        Self {
            reserve_bytes,
            allocated_to: end,
            can_allocate: true,
        }
    }

    /// Whether so many bytes fit behind `end` without using the reserve.
    pub(super) fn has(&mut self, file: &File, end: u64, bytes: u64) -> bool {
        let needed_to = end + bytes + self.reserve_bytes;
        if needed_to <= self.allocated_to {
            return true;
        }
        if self.can_allocate {
            for to in [needed_to + STEP_BYTES, needed_to] {
                match allocate_ahead(file, self.allocated_to, to - self.allocated_to) {
                    Ok(()) => {
                        self.allocated_to = to;
                        return true;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        self.can_allocate = false;
                        break;
                    }
                    Err(_) => {}
                }
            }
        }
        if self.can_allocate {
            return false;
        }
        free_bytes(file).is_ok_and(|free| free >= needed_to - end)
    }

    /// The file was cut off at `end`, which gave the space behind it back.
    pub(super) fn was_cut(&mut self, end: u64) {
        self.allocated_to = end;
    }
}

/// Whether an error says that there is not enough disk space.
pub(in super::super) fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_allocated_and_the_length_stays() {
        use std::os::unix::fs::MetadataExt;

        let file = tempfile::tempfile().unwrap();
        let mut space = Space::new(0, 64 << 10);
        assert!(space.has(&file, 0, 1));
        assert_eq!(file.metadata().unwrap().len(), 0);
        if space.can_allocate {
            assert!(file.metadata().unwrap().blocks() * 512 >= 64 << 10);
        }
        // More than any disk has.
        assert!(!space.has(&file, 0, 1 << 60));
        assert!(space.has(&file, 0, 1));
    }
}
