//! The folder of a file store.

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

/// Mode of an upload's file until its end; the umask may take bits of the others.
const STAGED_MODE: u32 = 0o666;

/// The features of the folder's file system that differ between file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSystemFeatures {
    /// Whether files can be written past the page cache; `None` when a full disk did not let
    /// that be tried.
    pub(super) direct: Option<bool>,
    /// Whether a file can be renamed without replacing another; otherwise it is linked.
    pub(super) rename: bool,
}

/// An open store folder.
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
        folder.images.sync()?;
        Ok(folder)
    }

    /// Tries the file system: some refuse an operation when a file is opened and some only
    /// when it is written. A full disk is no error, since its images can still be read and
    /// deleted.
    ///
    /// # Errors
    /// When nothing can be written here at all, or no file can get its name.
    pub(super) fn probe(&self) -> io::Result<FileSystemFeatures> {
        // The name is another one at each start: several nodes may share the folder.
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
            "the disk of the image folder is full; images can be read and deleted"
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

    /// The probe is renamed within the staging folder, where no image can have its name.
    fn probe_rename(&self, probe: Uuid) -> io::Result<bool> {
        let (from, to) = (probe.to_string(), Uuid::new_v4().to_string());
        let renamed = self.staging.rename_at_once(&from, &self.staging, &to);
        let result = match renamed {
            Ok(()) => Ok(true),
            Err(error) if is_unsupported(&error) => {
                let linked = self.staging.rename(&from, &self.staging, &to);
                linked.map(|()| false).map_err(|error| {
                    io::Error::other(format!(
                        "its file system has neither renameat2(RENAME_NOREPLACE) nor link(2), \
                         one of which gives an image its name: {error}"
                    ))
                })
            }
            // A full disk may have no room for the new name.
            Err(error) if is_full(&error) => Ok(true),
            Err(error) => Err(error),
        };
        self.staging.remove(&to)?;
        result
    }

    /// The path of an image's file, for the log.
    pub(super) fn path_of(&self, image: &str) -> PathBuf {
        self.path.join(image)
    }

    /// Whether an image's name is taken.
    pub(super) fn has_image(&self, image: &str) -> io::Result<bool> {
        Ok(self.images.inode(image)?.is_some())
    }

    /// Every file that has the name of an image, or of an upload.
    pub(super) fn list_entries(&self) -> io::Result<Vec<StoredEntry>> {
        let image = |name: &str| name.parse().ok().map(StoredKey::Image);
        let mut all = files_in(&self.path, image)?;
        all.extend(files_in(&self.path.join(STAGING), upload_of)?);
        Ok(all)
    }

    /// The URI of an image's file.
    pub(super) fn uri_of(&self, image: &str) -> String {
        format!("file://{}/{image}", self.path.display())
    }

    /// The name in this folder that the part of a URI behind its scheme stands for.
    pub(super) fn name_of<'a>(&self, rest: &'a str) -> Option<&'a str> {
        file_name_in(&self.path, rest)
    }

    /// Opens an image's file if that needs no waiting.
    ///
    /// # Errors
    /// `WouldBlock` when it may, or when this kernel cannot say.
    pub(super) fn open_cached(&self, name: &str) -> io::Result<File> {
        self.images.open_cached(name)
    }

    /// Opens an image's file. Blocks.
    pub(super) fn open_image(&self, name: &str) -> io::Result<File> {
        self.images.open_file(name)
    }

    /// Makes the file of an upload, marked with its id where the file system can.
    pub(super) fn create_staged(&self, upload: Uuid) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let name = upload.to_string();
        let file = self.staging.open_with(&name, flags, STAGED_MODE)?;
        // Without the mark the time of the last write decides whose file it is.
        let _ = set_upload_mark(&file, &name);
        Ok(file)
    }

    /// Opens the file of an upload once more, to be written past the page cache.
    pub(super) fn open_staged_direct(&self, upload: Uuid) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_DIRECT;
        self.staging.open_with(&upload.to_string(), flags, 0)
    }

    /// Gives a complete upload its image's name, durably; an image never replaces another.
    pub(super) fn publish(&self, upload: Uuid, image: &str) -> io::Result<()> {
        let staged = upload.to_string();
        self.staging.rename(&staged, &self.images, image)?;
        self.images.sync()
    }

    /// Removes an image's file, durably: its record forgets it next, and after a power cut
    /// nobody would know of a file that came back.
    pub(super) fn remove_image(&self, name: &str) -> io::Result<()> {
        self.images.remove(name)?;
        self.images.sync()
    }

    /// Removes the files that an upload has written, and no other: the image's file may be
    /// that of an upload of which the registry knows nothing any more.
    pub(super) fn discard(&self, image: &str, upload: &Upload) -> io::Result<()> {
        if self.is_written_by(image, upload)? {
            self.remove_image(image)?;
        }
        self.remove_staged(upload.id)
    }

    /// Whether an upload has given the image's name to its file. The mark tells; where there
    /// is none, the upload still has both names, or it has lost the first and the file was
    /// not written before it began.
    fn is_written_by(&self, image: &str, upload: &Upload) -> io::Result<bool> {
        let file = match self.images.open_file(image) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            // A symbolic link is nothing that an upload makes.
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

    /// Removes the file of an upload, durably for the same reason.
    pub(super) fn remove_staged(&self, upload: Uuid) -> io::Result<()> {
        self.staging.remove(&upload.to_string())?;
        self.staging.sync()
    }
}

fn upload_of(name: &str) -> Option<StoredKey> {
    let upload: Uuid = name.parse().ok()?;
    (upload.to_string() == name).then_some(StoredKey::Upload(upload))
}

/// When a file was last written.
fn written_at(metadata: &fs::Metadata) -> io::Result<Option<Timestamp>> {
    let written = metadata.modified()?.duration_since(UNIX_EPOCH);
    let micros = i64::try_from(written.unwrap_or_default().as_micros());
    Ok(micros.ok().map(Timestamp::from_micros))
}

/// Whether an error says that nothing more fits.
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// The files of a folder whose names stand for something.
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
            // Removed or renamed since.
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

/// The name in a folder that a file's location stands for; `None` when it is not in that folder.
/// `rest` is the part of the URI behind its scheme.
pub fn file_name_in<'a>(folder: &Path, rest: &'a str) -> Option<&'a str> {
    let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
    let name = path.file_name().and_then(OsStr::to_str)?;
    let is_here = path.parent() == Some(folder) && !name.starts_with('.');
    is_here.then_some(name)
}
