//! What is done to a server's process before its program starts.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::seccomp;

/// Restrictions on a server, which it cannot shake off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Launch {
    /// Most open descriptors.
    pub most_fds: Option<u64>,
    /// Whether the kernel refuses io_uring, as under Docker's seccomp profile.
    pub refuse_uring: bool,
}

impl Launch {
    pub fn prepare(self, command: &mut Command) {
        let prepare = move || {
            if let Some(most) = self.most_fds {
                limit_fds(most)?;
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

fn limit_fds(most: u64) -> io::Result<()> {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: a valid pointer to a filled-in struct.
    match unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
