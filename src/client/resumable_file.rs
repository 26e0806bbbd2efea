//! The destination file of a download: written as `NAME.part`, resumed from there, and renamed to
//! `NAME` when it is complete. `NAME.part` is locked against a second download and is never opened
//! through a link, because directories such as `/tmp` are writable by other users.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::download_writer::DownloadTarget;
use crate::md5::Md5;

/// Bytes read at a time when the bytes of an earlier download are hashed.
const READ_BYTES: usize = 256 * 1024;
/// Attempts to open `NAME.part` while another program renames it.
const OPEN_TRIES: usize = 3;
/// Mode of a new file: readable by its owner only, because the image may be private.
const NEW_FILE_MODE: u32 = 0o600;

/// An open and locked `NAME.part`.
#[derive(Debug)]
pub(super) struct ResumableFile {
    file: File,
    path: PathBuf,
    target: PathBuf,
}

impl ResumableFile {
    /// Opens `NAME.part` beside the target with the bytes of an earlier download, or creates it. If
    /// the target is a symbolic link, the file that it points to is meant.
    ///
    /// # Errors
    /// If the target is not a regular file, if `NAME.part` is not a regular file with a single
    /// link, or if another download has it open.
    pub(super) fn open(target: &Path) -> io::Result<Self> {
        let target = match fs::canonicalize(target) {
            Ok(existing) if !existing.is_file() => {
                return Err(io::Error::other("it exists and is not a regular file"));
            }
            Ok(existing) => existing,
            Err(_) => target.to_owned(),
        };
        let mut name = OsString::from(target.file_name().ok_or_else(no_name)?);
        name.push(".part");
        let path = target.with_file_name(name);
        for _ in 0..OPEN_TRIES {
            let file = open_alone(&path)?;
            // The previous holder of the lock may have renamed the file between our open and lock;
            // then the path names another file or none, and the open is repeated.
            let opened = file.metadata()?;
            if fs::symlink_metadata(&path).is_ok_and(|named| named.ino() == opened.ino()) {
                return Ok(Self { file, path, target });
            }
        }
        Err(io::Error::other("another download is writing it"))
    }

    fn keep_mode_of_target(&self) -> io::Result<()> {
        match fs::metadata(&self.target) {
            Ok(old) => self.file.set_permissions(old.permissions()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Opens or creates a regular file with a single link, and locks it.
fn open_alone(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(NEW_FILE_MODE)
        // O_NOFOLLOW refuses a planted symbolic link; without O_NONBLOCK a planted FIFO would block
        // the open for ever.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.nlink() != 1 {
        return Err(io::Error::other(format!(
            "{} is not a regular file with a single link; remove it",
            path.display()
        )));
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another download is writing it")),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn no_name() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it has no file name")
}

impl Write for ResumableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DownloadTarget for ResumableFile {
    fn read_present(&mut self, md5: &mut Md5) -> io::Result<u64> {
        let mut buffer = vec![0; READ_BYTES];
        let mut present_bytes = 0;
        self.file.seek(SeekFrom::Start(0))?;
        loop {
            let length = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(present_bytes),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            md5.update(&buffer[..length]);
            present_bytes += length as u64;
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0)).map(drop)
    }

    fn publish(&mut self) -> io::Result<()> {
        self.keep_mode_of_target()?;
        // The data must be durable before the name is, or a power cut could leave an empty file
        // under the final name.
        self.file.sync_all()?;
        fs::rename(&self.path, &self.target)?;
        let folder = match self.target.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        File::open(folder)?.sync_all()
    }

    fn discard(&mut self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }

    fn close(&mut self) -> io::Result<()> {
        // An empty file would not help the next download.
        if self.file.metadata()?.len() == 0 {
            self.discard()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn published_file_keeps_the_mode_of_the_replaced_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("image");
        let mut part = ResumableFile::open(&target).unwrap();
        part.write_all(b"new").unwrap();
        part.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o600);

        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        let mut part = ResumableFile::open(&target).unwrap();
        part.write_all(b"newer").unwrap();
        part.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"newer");
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn link_to_the_target_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        symlink(&real, &link).unwrap();
        let mut part = ResumableFile::open(&link).unwrap();
        part.write_all(b"new").unwrap();
        part.publish().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn planted_files_devices_and_a_second_download_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let planted = folder.path().join("a.part");
        symlink(&victim, &planted).unwrap();
        assert!(ResumableFile::open(&folder.path().join("a")).is_err());
        let planted = folder.path().join("b.part");
        fs::hard_link(&victim, &planted).unwrap();
        assert!(ResumableFile::open(&folder.path().join("b")).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert!(ResumableFile::open(folder.path()).is_err());
        assert!(ResumableFile::open(Path::new("/dev/null")).is_err());
        let _first = ResumableFile::open(&folder.path().join("c")).unwrap();
        let second = ResumableFile::open(&folder.path().join("c")).unwrap_err();
        assert!(second.to_string().contains("another download"));
    }

    #[test]
    fn earlier_bytes_are_found_and_can_be_discarded() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("image");
        let mut part = ResumableFile::open(&target).unwrap();
        part.write_all(b"left").unwrap();
        part.close().unwrap();
        drop(part);
        let mut part = ResumableFile::open(&target).unwrap();
        assert_eq!(part.read_present(&mut Md5::default()).unwrap(), 4);
        part.restart().unwrap();
        part.close().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
