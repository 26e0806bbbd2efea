//! Files that contain the process id of a server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::is_running;

/// A pid file: the id in decimal and a newline.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

/// The state of the process that a pid file names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PidFileStatus {
    /// The process runs.
    Running(u32),
    /// The file exists, but names no process of the program.
    Stale,
    /// There is no file.
    Missing,
}

impl PidFile {
    /// The pid file at this path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the id of this process. Readers see the old content or the new one, never a part.
    ///
    /// # Errors
    /// Those of the file system. The file is unchanged then.
    pub fn write(&self) -> io::Result<()> {
        let pid = std::process::id();
        let mut temporary = self.path.clone().into_os_string();
        temporary.push(format!(".{pid}"));
        let written = fs::write(&temporary, format!("{pid}\n"));
        let renamed = written.and_then(|()| fs::rename(&temporary, &self.path));
        renamed.inspect_err(|_| {
            // The first error is reported; a leftover file does no harm.
            let _ = fs::remove_file(&temporary);
        })
    }

    /// Returns true if the file exists and names this process.
    pub fn names_this_process(&self) -> bool {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        text.trim().parse() == Ok(std::process::id())
    }

    /// Returns whether the named process runs as this program.
    pub fn status(&self, program: &str) -> PidFileStatus {
        let Ok(text) = fs::read_to_string(&self.path) else {
            return PidFileStatus::Missing;
        };
        match text.trim().parse() {
            Ok(pid) if is_running(pid, program) => PidFileStatus::Running(pid),
            _ => PidFileStatus::Stale,
        }
    }

    /// Removes the file, if it exists.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_follows_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = PidFile::new(folder.path().join("a.pid"));
        assert_eq!(file.status("glance-api"), PidFileStatus::Missing);
        for stale in ["", "no number", "1", "4294967295"] {
            fs::write(file.path(), stale).unwrap();
            assert_eq!(file.status("glance-api"), PidFileStatus::Stale, "{stale}");
            assert!(!file.names_this_process());
        }
        file.write().unwrap();
        assert!(file.names_this_process());
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.status("glance-api"), PidFileStatus::Missing);
    }

    #[test]
    fn failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = PidFile::new(folder.path().join("x/a.pid"));
        assert!(missing.write().is_err());
        // A directory of that name cannot be replaced by a file.
        let file = PidFile::new(folder.path().join("d"));
        fs::create_dir_all(folder.path().join("d/e")).unwrap();
        assert!(file.write().is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
