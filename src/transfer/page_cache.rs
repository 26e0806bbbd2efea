//! Keeping a worker from waiting for a disk.
//!
//! sendfile(2) blocks when the pages it wants are not in memory, and with it every other
//! connection of the worker. So before a window of a file is sent, the kernel is asked
//! whether the window is in memory; if not, another thread reads it in first.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// Bytes that are asked for, and read ahead, at a time: long enough for a disk to stream,
/// short enough that nothing waits long for its first byte.
pub const WINDOW_BYTES: u64 = 4 * 1024 * 1024;

/// cachestat(2), Linux 6.5; the same number on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

const PAGE_BYTES: u64 = 4096;

/// ramfs, of which libc has no name (linux/magic.h).
const RAMFS_MAGIC: u64 = 0x8584_58f6;

#[repr(C)]
struct CachestatRange {
    offset: u64,
    len: u64,
}

#[repr(C)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Distance of the points at which a window is tried, in bytes. Pages that are still being
/// read count as cached; reads come in from front to back, so a few points find them.
const PROBE_STEP_BYTES: usize = 256 * 1024;

/// What the kernel says of a range of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residency {
    /// It can be sent without waiting.
    Resident,
    /// The disk would be waited for.
    Absent,
    /// This file system cannot say (FUSE, overlayfs, network file systems): only a thread that
    /// may wait can find out.
    Unknown,
    /// All files of this file system are in memory (tmpfs).
    Always,
}

/// What a trial read says.
#[derive(PartialEq, Eq)]
enum Trial {
    Ready,
    WouldWait,
    CannotSay,
}

/// Whether the bytes from `offset` on can be sent without waiting for the disk, as far as
/// the kernel tells. Never waits itself.
pub fn residency(file: &File, offset: u64, len: u64) -> Residency {
    if len == 0 {
        return Residency::Resident;
    }
    let end = offset + len;
    match try_read(file, end - 1) {
        Trial::CannotSay if is_in_memory(file) => return Residency::Always,
        Trial::CannotSay => return Residency::Unknown,
        Trial::WouldWait => return Residency::Absent,
        Trial::Ready => {}
    }
    let pages = end.div_ceil(PAGE_BYTES) - offset / PAGE_BYTES;
    if cached_pages(file, offset, len).is_some_and(|cached| cached < pages) {
        return Residency::Absent;
    }
    let mut points = (offset..end).step_by(PROBE_STEP_BYTES);
    if points.all(|point| try_read(file, point) == Trial::Ready) {
        Residency::Resident
    } else {
        Residency::Absent
    }
}

/// Pages of the range in the cache; `None` where the kernel cannot say.
fn cached_pages(file: &File, offset: u64, len: u64) -> Option<u64> {
    let range = CachestatRange { offset, len };
    let mut stat = MaybeUninit::<Cachestat>::uninit();
    // SAFETY: both structs have the kernel's layout and live through the call.
    let result = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            &raw const range,
            stat.as_mut_ptr(),
            0,
        )
    };
    // SAFETY: the kernel filled the struct in when it returned zero.
    (result == 0).then(|| unsafe { stat.assume_init() }.cached)
}

/// Reads one byte if that needs no waiting.
fn try_read(file: &File, offset: u64) -> Trial {
    let mut byte = 0u8;
    let part = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let Ok(offset) = libc::off_t::try_from(offset) else {
        return Trial::CannotSay;
    };
    // SAFETY: one valid iovec of one byte, which outlives the call.
    let result = unsafe {
        libc::preadv2(
            file.as_raw_fd(),
            &raw const part,
            1,
            offset,
            libc::RWF_NOWAIT,
        )
    };
    if result >= 0 {
        return Trial::Ready;
    }
    match io::Error::last_os_error().kind() {
        io::ErrorKind::WouldBlock => Trial::WouldWait,
        _ => Trial::CannotSay,
    }
}

/// Whether the file is in a file system that has no disk. Such a one does not know
/// `RWF_NOWAIT` because no read of it waits.
fn is_in_memory(file: &File) -> bool {
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: a valid descriptor and a pointer to a struct that the kernel fills in.
    if unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the kernel filled the struct in when it returned zero.
    let kind = unsafe { stat.assume_init() }.f_type as u64;
    kind == libc::TMPFS_MAGIC as u64 || kind == RAMFS_MAGIC
}

/// As [`read_in`], for a file of which nothing is known: reads one byte, and the rest unless
/// it is in memory. The byte has a network file system compare what it keeps with its server,
/// so that the worker does not have to wait for that. Blocks.
///
/// # Errors
/// Those of pread(2); a file that ends early is no error here.
pub fn read_in_unknown(file: &File, offset: u64, len: u64) -> io::Result<()> {
    file.read_at(&mut [0], offset)?;
    if pages_in_memory(file, offset, len) {
        advise_needed(file, offset, len.saturating_add(WINDOW_BYTES));
        return Ok(());
    }
    read_in(file, offset, len)
}

/// Whether every page of the range is in memory and read, as mincore(2) says; `false` where
/// the file system has no mappings.
fn pages_in_memory(file: &File, offset: u64, len: u64) -> bool {
    let begin = offset - offset % PAGE_BYTES;
    let bytes = offset + len - begin;
    let (Ok(begin), Ok(bytes)) = (libc::off_t::try_from(begin), usize::try_from(bytes)) else {
        return false;
    };
    let (fd, none) = (file.as_raw_fd(), std::ptr::null_mut());
    // SAFETY: a new mapping at an address that the kernel chooses. It is never read.
    let mapped = unsafe { libc::mmap(none, bytes, libc::PROT_READ, libc::MAP_SHARED, fd, begin) };
    if mapped == libc::MAP_FAILED {
        return false;
    }
    let mut pages = vec![0_u8; bytes.div_ceil(PAGE_BYTES as usize)];
    // SAFETY: the mapping has `bytes` bytes, and there is one byte for each of its pages.
    let said = unsafe { libc::mincore(mapped, bytes, pages.as_mut_ptr()) };
    // SAFETY: the mapping was made above and nothing refers to it.
    unsafe { libc::munmap(mapped, bytes) };
    said == 0 && pages.iter().all(|page| page & 1 == 1)
}

/// Reads the range into the page cache and asks for the window behind it. Blocks.
///
/// # Errors
/// Those of pread(2); a file that ends early is no error here.
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

/// Gives back pages of the range that nothing else has asked to be kept.
pub fn advise_not_needed(file: &File, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (libc::off_t::try_from(offset), libc::off_t::try_from(len)) else {
        return;
    };
    // SAFETY: plain integers. The advice may be ignored, which costs memory and nothing else.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, len, libc::POSIX_FADV_DONTNEED) };
}

fn advise_needed(file: &File, offset: u64, len: u64) {
    let (Ok(offset), Ok(len)) = (libc::off_t::try_from(offset), libc::off_t::try_from(len)) else {
        return;
    };
    // SAFETY: plain integers. The advice may be ignored; reading comes next in any case.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, len, libc::POSIX_FADV_WILLNEED) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::folder_on_disk;
    use std::io::Write;
    use std::path::Path;

    #[test]
    fn what_was_just_written_is_resident() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        assert_ne!(residency(&file, 0, 1 << 20), Residency::Absent);
        assert_ne!(residency(&file, 4097, 5), Residency::Absent);
        read_in(&file, 0, 1 << 21).unwrap();
    }

    #[test]
    fn only_a_file_system_without_a_disk_is_always_resident() {
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
    fn a_file_of_which_nothing_is_known_is_read_in() {
        let mut file = tempfile::tempfile_in(folder_on_disk()).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        assert!(pages_in_memory(&file, 5000, 100_000));
        // SAFETY: plain integers.
        unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert!(!pages_in_memory(&file, 0, 1 << 20));
        read_in_unknown(&file, 0, 1 << 20).unwrap();
        assert!(pages_in_memory(&file, 0, 1 << 20));
        read_in_unknown(&file, 1 << 20, 5).unwrap();
    }

    #[test]
    fn what_was_dropped_is_not() {
        let mut file = tempfile::tempfile_in(folder_on_disk()).unwrap();
        file.write_all(&vec![1; 1 << 20]).unwrap();
        file.sync_all().unwrap();
        let fd = file.as_raw_fd();
        // SAFETY: plain integers.
        unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(residency(&file, 0, 1 << 20), Residency::Absent);
        read_in(&file, 0, 1 << 20).unwrap();
        assert_eq!(residency(&file, 0, 1 << 20), Residency::Resident);
    }
}
