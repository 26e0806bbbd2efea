//! Disk space for the journal, allocated before it is needed.
//!
//! Other writers may fill the file system, and the registry must still be able to record
//! deletions. So space behind the end of the journal is allocated in advance, and a part of it, the
//! reserve, is used only by writes that free resources: deletions, and the ends of uploads. If the
//! file system cannot allocate in advance, the free space is checked instead, which other writers
//! can use up meanwhile.

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
    /// Returns the space of a journal behind whose end nothing is allocated yet.
    pub(super) fn new(end: u64, reserve_bytes: u64) -> Self {
        Self {
            reserve_bytes,
            allocated_to: end,
            can_allocate: true,
        }
    }

    /// Returns true if this many bytes fit behind `end` without using the reserve. Allocates them
    /// if needed.
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

    /// Notes that the file was truncated at `end`, which released the space behind it.
    pub(super) fn was_cut(&mut self, end: u64) {
        self.allocated_to = end;
    }
}

/// Returns true if an error means that there is not enough disk space.
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
    fn reserve_is_allocated_without_changing_the_length() {
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
