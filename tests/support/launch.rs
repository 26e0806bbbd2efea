//! Restrictions of a server's process, applied before its program starts.

use std::fs;
use std::io;
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::process::is_root;
use super::seccomp;

/// Restrictions that a server cannot lift.
#[derive(Debug, Clone, Copy, Default)]
pub struct Launch {
    /// Largest number of open descriptors.
    pub most_fds: Option<u64>,
    /// True if the kernel refuses io_uring, as under Docker's seccomp profile.
    pub refuse_uring: bool,
    /// True if the server runs as an ordinary user, also if the tests run as root.
    pub as_ordinary_user: bool,
}

/// A user of the tests only, whose limits no other program uses up.
const ORDINARY_USER: u32 = 61_543;

impl Launch {
    pub fn prepare(self, command: &mut Command) {
        let prepare = move || {
            if let Some(most) = self.most_fds {
                limit_fds(most)?;
            }
            if self.as_ordinary_user && is_root() {
                become_ordinary_user()?;
            }
            if self.refuse_uring {
                seccomp::refuse_uring()?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing is allocated.
        unsafe { command.pre_exec(prepare) };
    }
}

impl Launch {
    /// Gives a folder and its contents to the user of the server.
    pub fn own(self, folder: &Path) -> io::Result<()> {
        if !self.as_ordinary_user || !is_root() {
            return Ok(());
        }
        let user = Some(ORDINARY_USER);
        lchown(folder, user, user)?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => self.own(&entry.path())?,
                false => lchown(entry.path(), user, user)?,
            }
        }
        Ok(())
    }
}

/// Groups are changed first, because a process without privileges cannot change them.
fn become_ordinary_user() -> io::Result<()> {
    // SAFETY: takes a count of zero and no groups.
    check(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: takes a number.
    check(unsafe { libc::setgid(ORDINARY_USER) })?;
    // SAFETY: takes a number.
    check(unsafe { libc::setuid(ORDINARY_USER) })
}

fn check(result: i32) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn limit_fds(most: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: a valid pointer to a filled-in struct.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
}
