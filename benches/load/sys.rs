//! System calls that the standard library lacks. All `unsafe` code of the load generator is here.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Readable, or closed by the peer.
pub const READ: u32 = libc::EPOLLIN as u32;

/// Writable.
pub const WRITE: u32 = libc::EPOLLOUT as u32;

/// The most events that one call returns.
const EVENTS: usize = 256;

/// A level-triggered epoll instance.
pub struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    pub fn new() -> io::Result<Self> {
        // SAFETY: takes no pointer; the descriptor is checked and owned from here on.
        let fd = unsafe {
            let fd = checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?;
            OwnedFd::from_raw_fd(fd)
        };
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        Ok(Self { fd, events })
    }

    pub fn add(&self, fd: RawFd, token: usize, interest: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    pub fn change(&self, fd: RawFd, token: usize, interest: u32) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    fn control(&self, what: i32, fd: RawFd, token: usize, interest: u32) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest,
            u64: token as u64,
        };
        // SAFETY: `event` lives across the call; the kernel only reads it.
        checked(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), what, fd, &raw mut event) })?;
        Ok(())
    }

    /// Waits at most `timeout_ms` and fills `ready` with tokens and their events.
    pub fn wait(&mut self, timeout_ms: i32, ready: &mut Vec<(usize, u32)>) -> io::Result<()> {
        ready.clear();
        // SAFETY: the pointer and the length are those of one live vector.
        let count = unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                EVENTS as i32,
                timeout_ms,
            )
        };
        let count = match checked(count) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        let seen = self.events.iter().take(count as usize);
        ready.extend(seen.map(|event| (event.u64 as usize, event.events)));
        Ok(())
    }
}

/// Discards up to `most` received bytes inside the kernel. Returns 0 at the end of the stream.
pub fn discard(socket: RawFd, most: usize) -> io::Result<usize> {
    // SAFETY: with MSG_TRUNC, TCP writes nothing to the pointer (tcp(7)), so none is given.
    let count = unsafe { libc::recv(socket, std::ptr::null_mut(), most, libc::MSG_TRUNC) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Sends up to `most` bytes of `file` from `offset` on without a copy through this process.
pub fn send_file(socket: RawFd, file: &File, offset: u64, most: usize) -> io::Result<usize> {
    let mut offset = offset as libc::off_t;
    // SAFETY: `offset` lives across the call and is the only memory it touches.
    let count = unsafe { libc::sendfile(socket, file.as_raw_fd(), &raw mut offset, most) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// Creates a memory file.
pub fn memory_file() -> io::Result<File> {
    // SAFETY: the name is a C string constant; the descriptor is checked and then owned.
    unsafe {
        let fd = checked(libc::memfd_create(c"load".as_ptr(), libc::MFD_CLOEXEC))?;
        Ok(File::from_raw_fd(fd))
    }
}

/// Raises the descriptor limit as far as the system allows.
pub fn raise_file_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` lives across both calls. A refusal shows when sockets run out.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

fn checked(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
