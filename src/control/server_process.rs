//! The processes of servers, as /proc describes them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::process;

/// A signal that servers handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    HangUp,
    Terminate,
}

impl Signal {
    fn raw(self) -> process::Signal {
        match self {
            Self::HangUp => process::Signal::HUP,
            Self::Terminate => process::Signal::TERM,
        }
    }

    /// Returns its number.
    pub(super) fn number(self) -> i32 {
        self.raw().as_raw()
    }
}

/// Sends a signal.
///
/// # Errors
/// Those of the system: `ESRCH` when the process has ended.
pub(super) fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(process::Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(process::kill_process(pid, signal.raw())?)
}

/// The program, arguments and working directory of a running process.
pub(super) struct CommandLine {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) folder: PathBuf,
}

impl CommandLine {
    /// Reads it from /proc. If the program file was replaced, `program` is the path of the new file.
    ///
    /// # Errors
    /// When the process has ended or belongs to another user.
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

/// Returns true if the process has children that have not ended.
pub(super) fn has_children(pid: u32) -> bool {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    tasks.flatten().any(|task| {
        let children = fs::read_to_string(task.path().join("children"));
        children.is_ok_and(|children| !children.trim().is_empty())
    })
}

/// The text that a process writes to its standard error, if that is a file.
pub(super) struct StderrTail {
    file: Option<File>,
}

impl StderrTail {
    /// Begins at the current end of the file. Includes the text of child processes, which inherit
    /// standard error.
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
            // A read error is ignored: the log has the same messages.
            let _ = file.read_to_string(&mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_ends_a_process() {
        let mut sleep = std::process::Command::new("sleep");
        let mut child = sleep.arg("60").spawn().unwrap();
        // The child may not have finished exec(2) yet, and its command line is empty until then.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let mut command = CommandLine::of(child.id()).unwrap();
        while command.arguments.is_empty() && std::time::Instant::now() < deadline {
            command = CommandLine::of(child.id()).unwrap();
        }
        assert_eq!(command.arguments, ["60"]);
        send(child.id(), Signal::Terminate).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(Signal::HangUp.number(), 1);
    }
}
