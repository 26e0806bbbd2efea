//! The destinations of a log: standard output, standard error, or a file that may be rotated.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Interval of the check that the path still leads to the open file.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Permissions of a new log file. It may contain names of images and tenants, so other users cannot
/// read it.
const FILE_MODE: u32 = 0o640;

/// The destination of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file, reopened after it was moved away.
    File(PathBuf),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Stderr => f.write_str("standard error"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// Returns true if standard output and standard error are the same file, terminal, pipe or socket.
pub(super) fn are_stdout_and_stderr_one() -> bool {
    let identity = |name: &str| {
        let metadata = fs::metadata(name).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let stdout = identity("/proc/self/fd/1");
    stdout.is_some() && stdout == identity("/proc/self/fd/2")
}

/// An open destination.
pub(super) enum Output {
    Stdout,
    Stderr,
    File(WatchedFile),
}

impl Output {
    pub fn open(destination: &Destination) -> io::Result<Self> {
        match destination {
            Destination::Stdout => Ok(Self::Stdout),
            Destination::Stderr => Ok(Self::Stderr),
            Destination::File(path) => match WatchedFile::open(path, CHECK_EVERY) {
                // A full disk must not prevent a start: the server is needed to delete images.
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    let path = path.display();
                    // Writing to standard error may fail as well, if it is on the same disk.
                    let _ = writeln!(
                        io::stderr(),
                        "ERROR: cannot log to {path}: {error}; logging to standard error instead"
                    );
                    Ok(Self::Stderr)
                }
                file => file.map(Self::File),
            },
        }
    }

    /// Writes complete lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                // Flushed explicitly, so that an error is reported for these lines and not later.
                let mut out = io::stdout().lock();
                out.write_all(lines)?;
                out.flush()
            }
            Self::Stderr => io::stderr().lock().write_all(lines),
            Self::File(file) => file.write(lines),
        }
    }
}

/// A file that is reopened when its path leads elsewhere, because log rotation may move it at any
/// time.
pub(super) struct WatchedFile {
    path: PathBuf,
    file: File,
    checked: Instant,
    check_every: Duration,
    /// True if a write failed midway, so that the next line must start with a line feed.
    torn: bool,
}

impl WatchedFile {
    fn open(path: &Path, check_every: Duration) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: open_to_append(path)?,
            checked: Instant::now(),
            check_every,
            torn: false,
        })
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.follow_name();
        let line_end: &[u8] = if self.torn { b"\n" } else { b"" };
        let written = self
            .file
            .write_all(line_end)
            .and_then(|()| self.file.write_all(lines));
        self.torn = written.is_err();
        written.map_err(|error| {
            let name = self.path.display();
            io::Error::new(error.kind(), format!("{name}: {error}"))
        })
    }

    /// Reopens the file if its path leads to another file or to none.
    fn follow_name(&mut self) {
        if self.checked.elapsed() < self.check_every {
            return;
        }
        // Updated before the check, so that a missing file is looked up once per interval only.
        self.checked = Instant::now();
        if self.is_still_there() {
            return;
        }
        // If no new file can be opened, the old one is kept: lines in a moved file are not lost.
        if let Ok(file) = open_to_append(&self.path) {
            self.file = file;
            self.torn = false;
        }
    }

    fn is_still_there(&self) -> bool {
        let identity = |data: fs::Metadata| (data.dev(), data.ino());
        let named = fs::metadata(&self.path).map(identity).ok();
        named.is_some() && named == self.file.metadata().map(identity).ok()
    }
}

fn open_to_append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(FILE_MODE)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_moved_is_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("g.log"), folder.path().join("g.log.1"));
        let mut file = WatchedFile::open(&path, Duration::ZERO).expect("open");
        file.write(b"one\n").expect("written");
        fs::rename(&path, &moved).expect("moved");
        file.write(b"two\n").expect("written");
        fs::remove_file(&path).expect("removed");
        file.write(b"three\n").expect("written");
        assert_eq!(fs::read(&moved).expect("read"), b"one\n");
        assert_eq!(fs::read(&path).expect("read"), b"three\n");
    }

    #[test]
    fn the_name_is_not_looked_up_for_every_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("g.log"), folder.path().join("g.log.1"));
        let mut file = WatchedFile::open(&path, Duration::from_secs(3_600)).expect("open");
        fs::rename(&path, &moved).expect("moved");
        file.write(b"late\n").expect("written");
        assert_eq!(fs::read(&moved).expect("read"), b"late\n");
        assert!(!path.exists());
    }

    #[test]
    fn without_its_folder_the_old_file_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).expect("a folder");
        let mut file = WatchedFile::open(&logs.join("g.log"), Duration::ZERO).expect("open");
        let moved = folder.path().join("moved");
        fs::rename(&logs, &moved).expect("moved");
        file.write(b"kept\n").expect("written");
        assert_eq!(fs::read(moved.join("g.log")).expect("read"), b"kept\n");
    }

    #[test]
    fn others_cannot_read_a_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("g.log");
        WatchedFile::open(&path, CHECK_EVERY).expect("open");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o007, 0);
    }

    #[test]
    fn a_full_disk_is_an_error_not_a_panic() {
        let mut full = WatchedFile::open(Path::new("/dev/full"), CHECK_EVERY).expect("open");
        assert!(full.write(b"line\n").is_err());
        assert!(full.torn);
    }
}
