//! Pipes, through which the kernel moves data from one socket to another without a copy.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use bytes::Bytes;
use rustix::net::SendFlags;
use rustix::pipe::{
    PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice, tee,
};

use super::Block;

/// Size of a pipe's buffer slot in bytes. The kernel limits pipes by the number of these pages
/// (fs.pipe-user-pages-soft, pipe(7)).
pub(super) const PIPE_PAGE_BYTES: usize = 4096;

/// Flags of every splice(2).
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// A non-blocking pipe that counts the bytes in it.
#[derive(Debug)]
pub(super) struct Pipe {
    read_end: OwnedFd,
    write_end: OwnedFd,
    pages: usize,
    held_bytes: usize,
}

impl Pipe {
    /// Creates an empty pipe of `wanted_pages`, or of fewer if the kernel grants fewer.
    ///
    /// # Errors
    /// Those of pipe2(2): no free descriptors, or the hard limit of pipe pages is reached.
    pub(super) fn new(wanted_pages: usize) -> io::Result<Self> {
        let (read_end, write_end) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
        // A refusal leaves the pipe at its default size.
        let _ = fcntl_setpipe_size(&write_end, wanted_pages * PIPE_PAGE_BYTES);
        let granted_bytes = fcntl_getpipe_size(&write_end)?;
        Ok(Self {
            read_end,
            write_end,
            pages: granted_bytes / PIPE_PAGE_BYTES,
            held_bytes: 0,
        })
    }

    /// Returns the number of pages that the kernel granted. A page holds one fragment of the data
    /// that a socket received, which may be much shorter than a page.
    pub(super) fn pages(&self) -> usize {
        self.pages
    }

    /// Returns the number of bytes in the pipe.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Moves at most `most_bytes` of the data that a socket has received into the pipe. Returns
    /// zero at the end of the stream.
    ///
    /// # Errors
    /// Those of splice(2); `WouldBlock` if nothing was received or the pipe is full.
    pub(super) fn splice_in(
        &mut self,
        from: BorrowedFd<'_>,
        most_bytes: usize,
    ) -> io::Result<usize> {
        let moved = splice(from, None, &self.write_end, None, most_bytes, FLAGS)?;
        self.held_bytes += moved;
        Ok(moved)
    }

    /// Moves at most `most_bytes` of the pipe to a socket. With `more_follows` the kernel holds
    /// back a partial packet.
    ///
    /// # Errors
    /// Those of splice(2).
    pub(super) fn splice_out(
        &mut self,
        to: BorrowedFd<'_>,
        most_bytes: usize,
        more_follows: bool,
    ) -> io::Result<usize> {
        let mut flags = FLAGS;
        flags.set(SpliceFlags::MORE, more_follows);
        let most_bytes = most_bytes.min(self.held_bytes);
        let moved = splice(&self.read_end, None, to, None, most_bytes, flags)?;
        self.held_bytes -= moved.min(self.held_bytes);
        Ok(moved)
    }

    /// Duplicates the pipe's bytes into another, empty pipe without a copy: both share the pages.
    /// Returns the number of bytes duplicated, which is smaller if the other pipe has fewer pages.
    ///
    /// # Errors
    /// Those of tee(2).
    pub(super) fn tee_into(&self, other: &mut Pipe) -> io::Result<usize> {
        let flags = SpliceFlags::NONBLOCK;
        let shared = tee(&self.read_end, &other.write_end, self.held_bytes, flags)?;
        other.held_bytes += shared;
        Ok(shared)
    }

    /// Reads bytes of the pipe into the free space of a block.
    ///
    /// # Errors
    /// Those of read(2).
    pub(super) fn read_into(&mut self, block: &mut Block) -> io::Result<()> {
        let from = &self.read_end;
        let read = block.fill_with(|free| Ok(rustix::io::read(from, free)?))?;
        self.held_bytes -= read.min(self.held_bytes);
        Ok(())
    }
}

/// Sends at most `most_bytes` from memory.
///
/// # Errors
/// Those of send(2).
pub(super) fn send(to: BorrowedFd<'_>, bytes: &Bytes, most_bytes: usize) -> io::Result<usize> {
    let len = bytes.len().min(most_bytes);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(rustix::net::send(to, &bytes[..len], flags)?)
}
