//! Pipes, in which the kernel hands pages from one socket to another.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use bytes::Bytes;

use super::Block;

/// What a pipe holds, where the kernel allows so much (fs.pipe-user-pages-soft).
pub const PIPE_BYTES: usize = 1024 * 1024;

/// Unused pipes that a thread keeps.
const MOST_IDLE: usize = 32;

thread_local! {
    static IDLE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// A pipe that never blocks. Empty when made; goes back to its thread if it is empty again.
#[derive(Debug)]
pub struct Pipe {
    ends: Option<(OwnedFd, OwnedFd)>,
    held_bytes: usize,
}

impl Pipe {
    /// An empty pipe, used before or new.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn take() -> io::Result<Self> {
        match IDLE.with_borrow_mut(Vec::pop) {
            Some(pipe) => Ok(pipe),
            None => Self::new(),
        }
    }

    fn new() -> io::Result<Self> {
        let mut ends = [0; 2];
        // SAFETY: a valid pointer to two descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made these two, and nobody else has them.
        let ends = unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        // A smaller pipe works as well, only slower.
        // SAFETY: a valid descriptor and an integer.
        unsafe {
            libc::fcntl(
                ends.1.as_raw_fd(),
                libc::F_SETPIPE_SZ,
                PIPE_BYTES as libc::c_int,
            )
        };
        Ok(Self {
            ends: Some(ends),
            held_bytes: 0,
        })
    }

    /// Bytes in it.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Moves what a socket has received into the pipe, at most so many bytes; zero at the
    /// socket's end.
    ///
    /// # Errors
    /// Those of splice(2); `WouldBlock` when nothing has arrived or the pipe is full.
    pub fn draw(&mut self, from: RawFd, most_bytes: usize) -> io::Result<usize> {
        let drawn = splice(from, self.write_end()?, most_bytes, 0)?;
        self.held_bytes += drawn;
        Ok(drawn)
    }

    /// Moves bytes of the pipe to a socket, at most so many.
    ///
    /// # Errors
    /// Those of splice(2).
    pub fn pour(&mut self, to: RawFd, most_bytes: usize, more_follows: bool) -> io::Result<usize> {
        let more = if more_follows { libc::SPLICE_F_MORE } else { 0 };
        let poured = splice(self.read_end()?, to, most_bytes.min(self.held_bytes), more)?;
        self.held_bytes -= poured.min(self.held_bytes);
        Ok(poured)
    }

    /// Has another, empty pipe hold the same bytes, without a copy.
    ///
    /// # Errors
    /// Those of tee(2), and `Other` when the kernel took only a part.
    pub fn share_with(&self, other: &mut Pipe) -> io::Result<()> {
        let (from, to) = (self.read_end()?, other.write_end()?);
        // SAFETY: two descriptors of pipes and plain integers.
        let shared = unsafe { libc::tee(from, to, self.held_bytes, libc::SPLICE_F_NONBLOCK) };
        let shared = usize::try_from(shared).map_err(|_| io::Error::last_os_error())?;
        other.held_bytes += shared;
        if shared == self.held_bytes {
            Ok(())
        } else {
            Err(io::Error::other("a pipe is smaller than its copy"))
        }
    }

    /// Reads bytes of the pipe into a block, as many as there is room for.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read_into(&mut self, block: &mut Block) -> io::Result<()> {
        let from = self.read_end()?;
        let read = block.fill_with(|room| {
            // SAFETY: the slice is valid for writes of its length.
            let read = unsafe { libc::read(from, room.as_mut_ptr().cast(), room.len()) };
            usize::try_from(read).map_err(|_| io::Error::last_os_error())
        })?;
        self.held_bytes -= read.min(self.held_bytes);
        Ok(())
    }

    fn read_end(&self) -> io::Result<RawFd> {
        let ends = self.ends.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(ends.0.as_raw_fd())
    }

    fn write_end(&self) -> io::Result<RawFd> {
        let ends = self.ends.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(ends.1.as_raw_fd())
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else {
            return;
        };
        if self.held_bytes > 0 {
            return;
        }
        // While a thread ends there is nobody to keep it for.
        let _ = IDLE.try_with(|idle| {
            let mut idle = idle.borrow_mut();
            if idle.len() < MOST_IDLE {
                idle.push(Self {
                    ends: Some(ends),
                    held_bytes: 0,
                });
            }
        });
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
