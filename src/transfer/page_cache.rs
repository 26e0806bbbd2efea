//! Keeps workers from waiting for a disk.
//!
//! sendfile(2) blocks while the pages that it sends are not in memory, and with it all other
//! connections of the worker. Before a window of a file is sent, [`residency`] therefore asks the
//! kernel whether it is in memory. If it is not, another thread reads it first ([`read_in`]).

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;

use rustix::fs::{Advice, fadvise, fstatfs};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::sys::{PAGE_BYTES, cached_pages, is_in_page_cache};

/// Size of a window in bytes: large enough for a disk to stream, small enough that a download
/// does not wait long for its first byte.
pub const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// Magic numbers of the file systems without a disk (linux/magic.h).
const TMPFS_MAGIC: u64 = 0x0102_1994;
const RAMFS_MAGIC: u64 = 0x8584_58f6;

/// Distance in bytes of the positions at which a window is probed. Pages that are being read count
/// as cached; reads complete from front to back, so a few probes detect them.
const PROBE_STEP_BYTES: usize = 256 * 1024;

/// Where the bytes of a file range are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency {
    /// In memory: the range can be sent without waiting.
    Resident,
    /// On the disk, at least in part.
    Absent,
    /// Unknown, because the file system does not report it (FUSE, overlayfs, network file
    /// systems). Only a thread that may wait can find out.
    Unknown,
    /// In memory, as all files of this file system (tmpfs).
    Always,
}

/// Result of a probe read.
#[derive(PartialEq, Eq)]
enum Probe {
    Ready,
    WouldWait,
    Unsupported,
}

/// Returns where the bytes of a range are, as far as the kernel reports it. Never waits.
pub fn residency(file: &File, offset: u64, len: u64) -> Residency {
    if len == 0 {
        return Residency::Resident;
    }
    let end = offset + len;
    // The last page first: reads complete from front to back, so it is the most likely to be absent.
    match try_read(file, end - 1) {
        Probe::Unsupported if is_in_memory(file) => return Residency::Always,
        Probe::Unsupported => return Residency::Unknown,
        Probe::WouldWait => return Residency::Absent,
        Probe::Ready => {}
    }
    // cachestat(2) finds gaps between the probed positions. Kernels before 6.5 lack it.
    let pages = end.div_ceil(PAGE_BYTES) - offset / PAGE_BYTES;
    if cached_pages(file, offset, len).is_some_and(|cached| cached < pages) {
        return Residency::Absent;
    }
    // Pages that are still being read count as cached, but reading them waits.
    let mut points = (offset..end).step_by(PROBE_STEP_BYTES);
    if points.all(|point| try_read(file, point) == Probe::Ready) {
        Residency::Resident
    } else {
        Residency::Absent
    }
}

/// Tries to read one byte without waiting (RWF_NOWAIT, preadv2(2)).
fn try_read(file: &File, offset: u64) -> Probe {
    // The kernel takes a signed offset.
    if i64::try_from(offset).is_err() {
        return Probe::Unsupported;
    }
    let mut byte = [0];
    let mut slices = [IoSliceMut::new(&mut byte)];
    match preadv2(file, &mut slices, offset, ReadWriteFlags::NOWAIT) {
        Ok(_) => Probe::Ready,
        Err(Errno::AGAIN) => Probe::WouldWait,
        Err(_) => Probe::Unsupported,
    }
}

/// Returns true if the file system keeps its files in memory. Such file systems reject
/// `RWF_NOWAIT`, although none of their reads waits.
fn is_in_memory(file: &File) -> bool {
    fstatfs(file).is_ok_and(|stat| {
        let kind = stat.f_type as u64;
        kind == TMPFS_MAGIC || kind == RAMFS_MAGIC
    })
}

/// Reads a range of unknown residency into memory: one byte, and the rest unless it is cached.
/// Blocks.
///
/// Reading the byte makes a network file system revalidate its cache with the server, so that the
/// worker does not have to wait for that later.
///
/// # Errors
/// Those of pread(2). The end of the file is not an error.
pub fn read_in_unknown(file: &File, offset: u64, len: u64) -> io::Result<()> {
    file.read_at(&mut [0], offset)?;
    if is_in_page_cache(file, offset, len) {
        advise_needed(file, offset, len.saturating_add(WINDOW_BYTES));
        return Ok(());
    }
    read_in(file, offset, len)
}

/// Reads a range into the page cache, and asks the kernel to read the window after it. Blocks.
///
/// # Errors
/// Those of pread(2). The end of the file is not an error.
pub fn read_in(file: &File, offset: u64, len: u64) -> io::Result<()> {
    advise_needed(file, offset, len.saturating_add(WINDOW_BYTES));
    let mut scratch = vec![0; 256 * 1024];
    let end = offset.saturating_add(len);
    let mut position = offset;
    while position < end {
        let wanted =
            usize::try_from(end - position).map_or(scratch.len(), |n| n.min(scratch.len()));
        match file.read_at(&mut scratch[..wanted], position)? {
            0 => break,
            read => position += read as u64,
        }
    }
    Ok(())
}

/// Releases the range's pages from the page cache.
pub fn advise_not_needed(file: &File, offset: u64, len: u64) {
    advise(file, offset, len, Advice::DontNeed);
}

/// Asks the kernel to read the range ahead.
fn advise_needed(file: &File, offset: u64, len: u64) {
    advise(file, offset, len, Advice::WillNeed);
}

/// Gives advice about a range (posix_fadvise(2)). Errors are ignored: advice that the kernel does
/// not follow costs memory or time, but no correctness.
fn advise(file: &File, offset: u64, len: u64, advice: Advice) {
    // The kernel takes signed numbers.
    if i64::try_from(offset).is_ok() && i64::try_from(len).is_ok() {
        let _ = fadvise(file, offset, NonZeroU64::new(len), advice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder_on_disk;
    use std::io::Write;
    use std::path::Path;

    #[test]
    fn written_pages_are_resident() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        assert_ne!(residency(&file, 0, 1 << 20), Residency::Absent);
        assert_ne!(residency(&file, 4097, 5), Residency::Absent);
        read_in(&file, 0, 1 << 21).unwrap();
    }

    #[test]
    fn only_file_systems_in_memory_are_always_resident() {
        let file = |folder: &Path| {
            let mut file = tempfile::tempfile_in(folder).unwrap();
            file.write_all(&vec![1; 1 << 20]).unwrap();
            file
        };
        if let Ok(probe) = tempfile::tempfile_in("/dev/shm") {
            assert!(is_in_memory(&probe));
            assert_ne!(
                residency(&file(Path::new("/dev/shm")), 0, 1 << 20),
                Residency::Unknown
            );
        }
        assert!(!is_in_memory(&file(&folder_on_disk())));
    }

    #[test]
    fn range_of_unknown_residency_is_read_in() {
        let mut file = tempfile::tempfile_in(folder_on_disk()).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        assert!(is_in_page_cache(&file, 5000, 100_000));
        advise_not_needed(&file, 0, 0);
        assert!(!is_in_page_cache(&file, 0, 1 << 20));
        read_in_unknown(&file, 0, 1 << 20).unwrap();
        assert!(is_in_page_cache(&file, 0, 1 << 20));
        read_in_unknown(&file, 1 << 20, 5).unwrap();
    }

    #[test]
    fn released_pages_are_absent() {
        let mut file = tempfile::tempfile_in(folder_on_disk()).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        advise_not_needed(&file, 0, 0);
        assert_eq!(residency(&file, 0, 1 << 20), Residency::Absent);
        read_in(&file, 0, 1 << 20).unwrap();
        assert_eq!(residency(&file, 0, 1 << 20), Residency::Resident);
    }
}
