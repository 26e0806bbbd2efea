//! Other processes, and what ours hands on to them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

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

/// How a process was started: its program, its arguments and its folder.
pub(super) struct Origin {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) folder: PathBuf,
}

impl Origin {
    /// Reads it from /proc. A program whose file was replaced has the name of the new file.
    pub(super) fn of(pid: u32) -> io::Result<Self> {
        let words = fs::read(format!("/proc/{pid}/cmdline"))?;
        let words = words.split_inclusive(|byte| *byte == 0).skip(1);
        let arguments = words.map(|word| OsString::from_vec(word[..word.len() - 1].to_vec()));
        let program = fs::read_link(format!("/proc/{pid}/exe"))?;
        let replaced = program
            .to_str()
            .and_then(|name| name.strip_suffix(" (deleted)"));
        Ok(Self {
            arguments: arguments.collect(),
            folder: fs::read_link(format!("/proc/{pid}/cwd"))?,
            program: replaced.map_or(program.clone(), PathBuf::from),
        })
    }
}

/// Whether a process has children that run.
pub(super) fn has_children(pid: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    tasks.flatten().any(|task| {
        let children = fs::read_to_string(task.path().join("children"));
        children.is_ok_and(|children| !children.trim().is_empty())
    })
}

/// The standard error of a process, where that is a file.
pub(super) struct Complaints {
    file: Option<File>,
}

impl Complaints {
    /// What it writes from now on, and what processes write that inherit its standard error.
    pub(super) fn from_now_on(pid: u32) -> Self {
        let file = File::open(format!("/proc/{pid}/fd/2")).ok();
        let is_file = |file: &File| file.metadata().is_ok_and(|metadata| metadata.is_file());
        let mut file = file.filter(is_file);
        if let Some(open) = &mut file
            && open.seek(SeekFrom::End(0)).is_err()
        {
            file = None;
        }
        Self { file }
    }

    /// Returns the text written since.
    pub(super) fn read(&mut self) -> String {
        let mut text = String::new();
        if let Some(file) = &mut self.file {
            // What cannot be read is in the log as well.
            let _ = file.read_to_string(&mut text);
        }
        text
    }
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
