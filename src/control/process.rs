//! Other processes, and what ours hands on to them.

use std::fs;
use std::io;

/// Descriptors that servers may have, as Glance's own glance-control sets it.
const MOST_DESCRIPTORS: u64 = 32_768;

/// A signal that a server understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    HangUp,
    Terminate,
}

impl Signal {
    /// Its number.
    pub(super) fn number(self) -> libc::c_int {
        match self {
            Self::HangUp => libc::SIGHUP,
            Self::Terminate => libc::SIGTERM,
        }
    }
}

/// Sends a signal.
pub(super) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(io::Error::other)?;
    // SAFETY: takes two numbers.
    match unsafe { libc::kill(pid, signal.number()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether a process runs, under this name: its id may be somebody else's by now. One that
/// has ended and that its parent has not looked at yet does not run.
pub(super) fn runs(pid: u32, name: &str) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // `pid (name) state ...`; the kernel keeps 15 letters, as many as the longest of ours has.
    let Some((before, after)) = stat.rsplit_once(") ") else {
        return false;
    };
    let comm = before.split_once('(').map_or("", |(_, comm)| comm);
    comm == name && !after.starts_with(['Z', 'X'])
}

/// Raises the number of descriptors for what this process starts, as far as it may.
pub(super) fn raise_descriptors() -> io::Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a valid pointer to a struct of the right type.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= MOST_DESCRIPTORS {
        return Ok(());
    }
    let within = limit.rlim_max.min(MOST_DESCRIPTORS);
    for (most, now) in [
        (limit.rlim_max.max(MOST_DESCRIPTORS), MOST_DESCRIPTORS),
        (limit.rlim_max, within),
    ] {
        let raised = libc::rlimit {
            rlim_cur: now,
            rlim_max: most,
        };
        // SAFETY: a valid pointer to a filled-in struct.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            return Ok(());
        }
    }
    Err(io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_runs_under_its_own_name_only() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let pid = child.id();
        assert!(runs(pid, "sleep"));
        assert!(!runs(pid, "glance-api"));
        send(pid, Signal::Terminate).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while runs(pid, "sleep") {
            assert!(
                std::time::Instant::now() < deadline,
                "a zombie counts as ended"
            );
        }
        child.wait().unwrap();
        assert!(!runs(pid, "sleep"));
    }
}
