//! The folder of a file store: names, publication, removal, and the features of its file system.
//!
//! All methods block.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use uuid::Uuid;

use super::super::{StoredEntry, StoredKey};
use crate::image::{Timestamp, Upload};
use crate::transfer::{
    BLOCK_ALIGNMENT, BlockPool, Directory, is_unsupported, set_upload_mark, upload_mark,
};

const STAGING: &str = ".staging";

/// Mode of an upload's file, before the umask; the configured mode is set at its end.
const STAGED_MODE: u32 = 0o666;

/// The features that not every file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSystemFeatures {
    /// True if O_DIRECT writes work; `None` if a full disk prevented the probe.
    pub(super) direct: Option<bool>,
    /// True if renameat2(RENAME_NOREPLACE) works; otherwise files are published with link(2).
    pub(super) rename: bool,
}

/// The opened folder of images.
pub(super) struct ImageFolder {
    path: PathBuf,
    images: Directory,
    staging: Directory,
}

impl ImageFolder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let staging = path.join(STAGING);
        DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&staging)?;
        let folder = Self {
            images: Directory::open(&path)?,
            staging: Directory::open(&staging)?,
            path,
        };
        // Makes the new staging folder durable, before an upload relies on it.
        folder.images.sync()?;
        Ok(folder)
    }

    /// Probes the file system with a real file: some refuse O_DIRECT when a file is opened, others
    /// only when it is written. A full disk is not an error, since its images can still be read and
    /// deleted.
    ///
    /// # Errors
    /// An error if nothing can be written, or no file can be published.
    pub(super) fn probe(&self) -> io::Result<FileSystemFeatures> {
        // A random name, because several nodes may share the folder and start at the same time.
        let probe = Uuid::new_v4();
        match self.create_staged(probe) {
            Err(error) if is_full(&error) => {
                self.log_full(&error);
                return Ok(FileSystemFeatures {
                    direct: None,
                    rename: true,
                });
            }
            created => drop(created?),
        }
        let (direct, rename) = (self.probe_direct(probe), self.probe_rename(probe));
        let removed = self.remove_staged(probe);
        let direct = match direct {
            Err(error) if is_full(&error) => {
                self.log_full(&error);
                None
            }
            direct => {
                removed?;
                Some(direct?)
            }
        };
        Ok(FileSystemFeatures {
            direct,
            rename: rename?,
        })
    }

    fn log_full(&self, error: &io::Error) {
        tracing::error!(
            %error,
            folder = %self.path.display(),
            "the disk of the image folder is full; images can only be read and deleted"
        );
    }

    fn probe_direct(&self, probe: Uuid) -> io::Result<bool> {
        let mut block = BlockPool::new(0).take();
        block.fill(&[0; BLOCK_ALIGNMENT]);
        let direct = self.open_staged_direct(probe);
        match direct.and_then(|file| file.write_all_at(block.as_ref(), 0)) {
            Ok(()) => Ok(true),
            Err(error) if is_unsupported(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Renames the probe within the staging folder, where no image can have its name.
    fn probe_rename(&self, probe: Uuid) -> io::Result<bool> {
        let (from, to) = (probe.to_string(), Uuid::new_v4().to_string());
        let renamed = self.staging.rename_at_once(&from, &self.staging, &to);
        let result = match renamed {
            Ok(()) => Ok(true),
            Err(error) if is_unsupported(&error) => {
                let linked = self.staging.rename(&from, &self.staging, &to);
                linked.map(|()| false).map_err(|error| {
                    io::Error::other(format!(
                        "its file system supports neither renameat2(RENAME_NOREPLACE) nor link(2), \
                         one of which is needed to publish images: {error}"
                    ))
                })
            }
            // A full disk may have no space for the directory entry.
            Err(error) if is_full(&error) => Ok(true),
            Err(error) => Err(error),
        };
        self.staging.remove(&to)?;
        result
    }

    /// Returns the path of an image's file, for the log.
    pub(super) fn path_of(&self, image: &str) -> PathBuf {
        self.path.join(image)
    }

    /// Returns true if an image's name is taken.
    pub(super) fn has_image(&self, image: &str) -> io::Result<bool> {
        Ok(self.images.inode(image)?.is_some())
    }

    /// Lists every file that has the name of an image or of an upload.
    pub(super) fn list_entries(&self) -> io::Result<Vec<StoredEntry>> {
        let image = |name: &str| name.parse().ok().map(StoredKey::Image);
        let mut all = files_in(&self.path, image)?;
        all.extend(files_in(&self.path.join(STAGING), upload_of)?);
        Ok(all)
    }

    /// Returns the URI of an image's file.
    pub(super) fn uri_of(&self, image: &str) -> String {
        format!("file://{}/{image}", self.path.display())
    }

    /// Returns the file name of a URI in this folder; `rest` is the URI after its scheme.
    pub(super) fn name_of<'a>(&self, rest: &'a str) -> Option<&'a str> {
        file_name_in(&self.path, rest)
    }

    /// Opens an image's file if that does not block.
    ///
    /// # Errors
    /// `WouldBlock` if opening may wait for the disk, or if the kernel cannot tell (before 5.12).
    pub(super) fn open_cached(&self, name: &str) -> io::Result<File> {
        self.images.open_cached(name)
    }

    /// Opens an image's file.
    pub(super) fn open_image(&self, name: &str) -> io::Result<File> {
        self.images.open_file(name)
    }

    /// Creates the file of an upload, marked with its identifier if the file system has extended
    /// attributes.
    pub(super) fn create_staged(&self, upload: Uuid) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let name = upload.to_string();
        let file = self.staging.open_with(&name, flags, STAGED_MODE)?;
        // Without the mark `is_written_by` uses the time of the last write instead.
        let _ = set_upload_mark(&file, &name);
        Ok(file)
    }

    /// Opens the file of an upload a second time, with O_DIRECT.
    pub(super) fn open_staged_direct(&self, upload: Uuid) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_DIRECT;
        self.staging.open_with(&upload.to_string(), flags, 0)
    }

    /// Renames the file of a complete upload to its image's name, durably.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken.
    pub(super) fn publish(&self, upload: Uuid, image: &str) -> io::Result<()> {
        let staged = upload.to_string();
        // Atomic and without replacement: of two uploads with the same name, one fails.
        self.staging.rename(&staged, &self.images, image)?;
        self.images.sync()
    }

    /// Removes an image's file, durably. The caller then removes it from the image's record; if the
    /// file reappeared after a power cut, no record would refer to it.
    pub(super) fn remove_image(&self, name: &str) -> io::Result<()> {
        self.images.remove(name)?;
        self.images.sync()
    }

    /// Removes the files that an upload has written, and no others: the image's file may be that of
    /// another upload, if the registry was restored from a backup.
    pub(super) fn discard(&self, image: &str, upload: &Upload) -> io::Result<()> {
        // The image's name first: while the staged name exists, `is_written_by` can compare the
        // inodes.
        if self.is_written_by(image, upload)? {
            self.remove_image(image)?;
        }
        self.remove_staged(upload.id)
    }

    /// Returns true if an upload has published the image's file. A file with a mark has the
    /// upload's identifier. Without a mark, either both names still refer to one file (a crash
    /// between link and unlink), or the staged name is gone and the file was written after the
    /// upload began.
    fn is_written_by(&self, image: &str, upload: &Upload) -> io::Result<bool> {
        let file = match self.images.open_file(image) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            // Uploads create no symbolic links.
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => return Ok(false),
            Err(error) => return Err(error),
        };
        if let Some(mark) = upload_mark(&file) {
            return Ok(mark == upload.id.to_string());
        }
        let metadata = file.metadata()?;
        Ok(match self.staging.inode(&upload.id.to_string())? {
            Some(staged) => staged == metadata.ino(),
            None => written_at(&metadata)? >= Some(upload.started_at),
        })
    }

    /// Removes the file of an upload, durably for the same reason as [`ImageFolder::remove_image`].
    pub(super) fn remove_staged(&self, upload: Uuid) -> io::Result<()> {
        self.staging.remove(&upload.to_string())?;
        self.staging.sync()
    }
}

fn upload_of(name: &str) -> Option<StoredKey> {
    let upload: Uuid = name.parse().ok()?;
    (upload.to_string() == name).then_some(StoredKey::Upload(upload))
}

/// Returns the time when a file was last written.
fn written_at(metadata: &fs::Metadata) -> io::Result<Option<Timestamp>> {
    let written = metadata.modified()?.duration_since(UNIX_EPOCH);
    let micros = i64::try_from(written.unwrap_or_default().as_micros());
    Ok(micros.ok().map(Timestamp::from_micros))
}

/// Returns true if an error means that nothing more fits.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Lists the files of a folder for whose names `key_of` returns a key.
fn files_in(
    folder: &Path,
    key_of: impl Fn(&str) -> Option<StoredKey>,
) -> io::Result<Vec<StoredEntry>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(key) = name.to_str().and_then(&key_of) else {
            continue;
        };
        let metadata = match entry.metadata() {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => continue,
            // The file was removed or renamed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        files.push(StoredEntry {
            key,
            size_bytes: metadata.len(),
            written_at: written_at(&metadata)?,
        });
    }
    Ok(files)
}

/// Returns the file name of a location in a folder, or `None` if the location is not in the folder.
/// `rest` is the URI after its scheme.
pub fn file_name_in<'a>(folder: &Path, rest: &'a str) -> Option<&'a str> {
    let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
    let name = path.file_name().and_then(OsStr::to_str)?;
    let is_here = path.parent() == Some(folder) && !name.starts_with('.');
    is_here.then_some(name)
}
