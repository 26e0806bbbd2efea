//! The folder of a file store.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use uuid::Uuid;

use super::super::{Stored, StoredOf};
use crate::image::Timestamp;
use crate::transfer::{BLOCK_ALIGNMENT, BlockPool, Directory};

const STAGING: &str = ".staging";

/// The upload that a start tries the file system with; no real one has this name.
const PROBE: Uuid = Uuid::nil();

fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// An open store folder.
pub(super) struct Folder {
    path: PathBuf,
    images: Directory,
    staging: Directory,
}

impl Folder {
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

    /// Whether files here can be written past the page cache: tried, since some file systems
    /// refuse it when a file is opened and some only when it is written. `None` on a full disk,
    /// where it cannot be tried.
    ///
    /// # Errors
    /// When nothing can be written here at all.
    pub(super) fn takes_direct_writes(&self) -> io::Result<Option<bool>> {
        match self.try_direct_write() {
            Err(error) if is_no_space(&error) => {
                tracing::error!(
                    %error,
                    folder = %self.path.display(),
                    "the disk of the image folder is full; images can be read and deleted"
                );
                // The probe may be there.
                drop(self.remove_staged(PROBE));
                Ok(None)
            }
            result => result.map(Some),
        }
    }

    fn try_direct_write(&self) -> io::Result<bool> {
        // A start that was cut off here left its probe behind.
        self.remove_staged(PROBE)?;
        drop(self.create_staged(PROBE, None)?);
        let mut block = BlockPool::new(0).take();
        block.fill(&[0; BLOCK_ALIGNMENT]);
        let direct = self.open_staged_direct(PROBE);
        let written = direct.and_then(|file| file.write_all_at(block.as_ref(), 0));
        self.remove_staged(PROBE)?;
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Every file that has the name of an image, or of an upload.
    pub(super) fn stored(&self) -> io::Result<Vec<Stored>> {
        let image = |name: &str| name.parse().ok().map(StoredOf::Image);
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
        let path = Path::new(rest.strip_prefix("//").unwrap_or(rest));
        let name = path.file_name().and_then(OsStr::to_str)?;
        let is_here = path.parent() == Some(&self.path) && !name.starts_with('.');
        is_here.then_some(name)
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

    /// Makes the file of an upload.
    pub(super) fn create_staged(&self, upload: Uuid, mode: Option<u32>) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        let name = upload.to_string();
        let file = self
            .staging
            .open_with(&name, flags, mode.unwrap_or(0o666))?;
        if let Some(mode) = mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
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

    /// Removes the file of an upload, durably for the same reason.
    pub(super) fn remove_staged(&self, upload: Uuid) -> io::Result<()> {
        self.staging.remove(&upload.to_string())?;
        self.staging.sync()
    }
}

fn upload_of(name: &str) -> Option<StoredOf> {
    let upload: Uuid = name.parse().ok()?;
    let is_ours = upload != PROBE && upload.to_string() == name;
    is_ours.then_some(StoredOf::Upload(upload))
}

/// The files of a folder whose names stand for something.
fn files_in(folder: &Path, of: impl Fn(&str) -> Option<StoredOf>) -> io::Result<Vec<Stored>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(of) = name.to_str().and_then(&of) else {
            continue;
        };
        let metadata = match entry.metadata() {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => continue,
            // Removed or renamed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let written = metadata.modified()?.duration_since(UNIX_EPOCH);
        let written = i64::try_from(written.unwrap_or_default().as_micros());
        files.push(Stored {
            of,
            size_bytes: metadata.len(),
            written_at: written.ok().map(Timestamp::from_micros),
        });
    }
    Ok(files)
}
