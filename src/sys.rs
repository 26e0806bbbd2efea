//! System calls that neither the standard library nor `rustix` offers with a safe interface. Apart
//! from the MD5 kernels and hyper's read cursor (`net/transport/mod.rs`), this is the only unsafe
//! code of the data path.

use std::fs::File;
use std::io;
use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use rustix::net::RecvFlags;
use tokio::io::ReadBuf;

/// Page size of the page cache, in bytes.
pub const PAGE_BYTES: u64 = 4096;

/// Number of cachestat(2), Linux 6.5. It is the same on every architecture.
const SYS_CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range` (linux/mman.h).
#[repr(C)]
struct CachestatRange {
    offset: u64,
    len: u64,
}

/// `struct cachestat` (linux/mman.h).
#[repr(C)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Returns the number of pages of a file range that are in the page cache, or `None` if the
/// kernel or the file system cannot tell (cachestat(2)). Pages that are being read count.
pub fn cached_pages(file: &File, offset: u64, len: u64) -> Option<u64> {
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

/// Returns true if every page of a file range is in memory and up to date (mincore(2)). Returns
/// false if the file system does not support mappings.
pub fn is_in_page_cache(file: &File, offset: u64, len: u64) -> bool {
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
    let result = unsafe { libc::mincore(mapped, bytes, pages.as_mut_ptr()) };
    // SAFETY: the mapping was made above and nothing refers to it.
    unsafe { libc::munmap(mapped, bytes) };
    result == 0 && pages.iter().all(|page| page & 1 == 1)
}

/// The kernel's figures about the sending side of a TCP socket (TCP_INFO, tcp(7)).
#[derive(Debug, Clone, Copy)]
pub struct SendStats {
    /// Bytes that the peer has acknowledged.
    pub acknowledged_bytes: u64,
    /// Time in which data were waiting to be sent or acknowledged.
    pub busy: Duration,
}

/// The beginning of `struct tcp_info` (linux/tcp.h) up to the fields of Linux 4.10. The
/// declaration in `libc` ends before them.
#[repr(C)]
struct TcpInfo {
    _before: [u8; 120],
    bytes_acked: u64,
    _between: [u8; 40],
    busy_time_us: u64,
}

const _: () = assert!(offset_of!(TcpInfo, bytes_acked) == 120);
const _: () = assert!(offset_of!(TcpInfo, busy_time_us) == 168);

/// Returns the send statistics of a socket, or `None` if the kernel does not provide them or the
/// descriptor is not a TCP socket.
pub fn send_stats(socket: RawFd) -> Option<SendStats> {
    let mut info = MaybeUninit::<TcpInfo>::zeroed();
    let whole = size_of::<TcpInfo>() as libc::socklen_t;
    let mut filled = whole;
    // SAFETY: valid pointers to a buffer and to its length, which the kernel respects.
    let result = unsafe {
        libc::getsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut filled,
        )
    };
    if result != 0 || filled < whole {
        return None;
    }
    // SAFETY: plain numbers, all of them zeroed or filled in.
    let info = unsafe { info.assume_init() };
    Some(SendStats {
        acknowledged_bytes: info.bytes_acked,
        busy: Duration::from_micros(info.busy_time_us),
    })
}

/// Receives bytes of a socket into the unfilled part of a buffer, without initialising it first.
/// Returns their number; zero means the end of the stream.
///
/// # Errors
/// Those of recv(2).
pub fn receive(socket: impl AsFd, buffer: &mut ReadBuf<'_>) -> io::Result<usize> {
    // SAFETY: recv writes only initialised bytes into the slice.
    let unfilled = unsafe { buffer.unfilled_mut() };
    let ((received, _), _) = rustix::net::recv(socket, unfilled, RecvFlags::empty())?;
    let received = received.len();
    // SAFETY: recv initialised this many bytes at the front of the slice.
    unsafe { buffer.assume_init(received) };
    buffer.advance(received);
    Ok(received)
}

/// Memory in a mapping of its own, exclusively owned. It begins at a page border, is filled with
/// zeros, and returns to the system when it is dropped.
#[derive(Debug)]
pub struct MappedMemory {
    address: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the value is the sole owner of its mapping, like a `Box<[u8]>`.
unsafe impl Send for MappedMemory {}
// SAFETY: shared references give read-only access.
unsafe impl Sync for MappedMemory {}

impl MappedMemory {
    /// Maps memory of `bytes` bytes.
    ///
    /// # Errors
    /// Those of mmap(2).
    pub fn new(bytes: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let address = unsafe { mmap_anonymous(ptr::null_mut(), bytes, access, MapFlags::PRIVATE)? };
        let address = NonNull::new(address.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { address, bytes })
    }

    /// Returns the bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: the mapping has this many bytes, which the kernel has initialised with zeros.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }

    /// Returns the bytes for writing.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.address.as_ptr(), self.bytes) }
    }
}

impl Drop for MappedMemory {
    fn drop(&mut self) {
        // SAFETY: `new` created the mapping with this length, and nothing refers to it any more.
        // Unmapping a whole mapping cannot fail.
        let _ = unsafe { munmap(self.address.as_ptr().cast(), self.bytes) };
    }
}
