//! Pipes, in which the kernel hands pages from one socket to another.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use bytes::Bytes;

use super::Block;

/// Bytes of one slot of a pipe. The kernel counts pipes in these (fs.pipe-user-pages-soft).
pub(super) const PIPE_PAGE_BYTES: usize = 4096;

/// A pipe that never blocks.
#[derive(Debug)]
pub(super) struct Pipe {
    read_end: OwnedFd,
    write_end: OwnedFd,
    pages: usize,
    held_bytes: usize,
}

impl Pipe {
    /// Makes an empty pipe of `wanted_pages`, or of fewer where the kernel grants fewer.
    ///
    /// # Errors
    /// Those of pipe2(2): no descriptors are left, or the hard limit of pipe pages is reached.
    pub(super) fn new(wanted_pages: usize) -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: a valid pointer to two descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made these two, and nothing else owns them.
        let [read_end, write_end] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        let fd = write_end.as_raw_fd();
        let wanted_bytes = (wanted_pages * PIPE_PAGE_BYTES) as libc::c_int;
        // SAFETY: a valid descriptor and an integer. A refusal leaves the pipe as it was.
        unsafe { libc::fcntl(fd, libc::F_SETPIPE_SZ, wanted_bytes) };
        // SAFETY: a valid descriptor.
        let granted = unsafe { libc::fcntl(fd, libc::F_GETPIPE_SZ) };
        let granted_bytes = usize::try_from(granted).map_err(|_| io::Error::last_os_error())?;
        Ok(Self {
            read_end,
            write_end,
            pages: granted_bytes / PIPE_PAGE_BYTES,
            held_bytes: 0,
        })
    }

    /// Pages that the kernel granted. A page holds one fragment of what a socket received, which
    /// may be far shorter than a page.
    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    /// Bytes in it.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Moves what a socket has received into the pipe, at most so many bytes; zero at the
    /// socket's end.
    ///
    /// # Errors
    /// Those of splice(2); `WouldBlock` when nothing has arrived or the pipe is full.
    pub(super) fn splice_in(&mut self, from: RawFd, most_bytes: usize) -> io::Result<usize> {
        let drawn = splice(from, self.write_end.as_raw_fd(), most_bytes, 0)?;
        self.held_bytes += drawn;
        Ok(drawn)
    }

    /// Moves bytes of the pipe to a socket, at most so many.
    ///
    /// # Errors
    /// Those of splice(2).
    pub(super) fn splice_out(
        &mut self,
        to: RawFd,
        most_bytes: usize,
        more_follows: bool,
    ) -> io::Result<usize> {
        let more = if more_follows { libc::SPLICE_F_MORE } else { 0 };
        let from = self.read_end.as_raw_fd();
        let poured = splice(from, to, most_bytes.min(self.held_bytes), more)?;
        self.held_bytes -= poured.min(self.held_bytes);
        Ok(poured)
    }

    /// Has another, empty pipe hold the same bytes, without a copy. Returns how many of them
    /// the other one holds: those at the front, as far as its pages reach.
    ///
    /// # Errors
    /// Those of tee(2).
    pub(super) fn tee_into(&self, other: &mut Pipe) -> io::Result<usize> {
        let (from, to) = (self.read_end.as_raw_fd(), other.write_end.as_raw_fd());
        // SAFETY: two descriptors of pipes and plain integers.
        let shared = unsafe { libc::tee(from, to, self.held_bytes, libc::SPLICE_F_NONBLOCK) };
        let shared = usize::try_from(shared).map_err(|_| io::Error::last_os_error())?;
        other.held_bytes += shared;
        Ok(shared)
    }

    /// Reads bytes of the pipe into a block, as many as there is room for.
    ///
    /// # Errors
    /// Those of read(2).
    pub(super) fn read_into(&mut self, block: &mut Block) -> io::Result<()> {
        let from = self.read_end.as_raw_fd();
        let read = block.fill_with(|room| {
            // SAFETY: the slice is valid for writes of its length.
            let read = unsafe { libc::read(from, room.as_mut_ptr().cast(), room.len()) };
            usize::try_from(read).map_err(|_| io::Error::last_os_error())
        })?;
        self.held_bytes -= read.min(self.held_bytes);
        Ok(())
    }
}

/// Sends bytes in memory.
///
/// # Errors
/// Those of send(2).
pub(super) fn send(to: RawFd, bytes: &Bytes, most_bytes: usize) -> io::Result<usize> {
    let len = bytes.len().min(most_bytes);
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
    // SAFETY: the bytes outlive the call, and `len` is not more than there are.
    let sent = unsafe { libc::send(to, bytes.as_ptr().cast(), len, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn splice(from: RawFd, to: RawFd, most_bytes: usize, flags: u32) -> io::Result<usize> {
    let flags = flags | libc::SPLICE_F_MOVE | libc::SPLICE_F_NONBLOCK;
    let (none_in, none_out) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: two descriptors; no offsets, since neither is a file.
    let moved = unsafe { libc::splice(from, none_in, to, none_out, most_bytes, flags) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}
