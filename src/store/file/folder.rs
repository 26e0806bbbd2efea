//! The folder of a file store, as descriptors.
//!
//! Every name is looked up from an open descriptor, is a single path component, and is never
//! followed when it is a symbolic link: nothing a name says leads out of the folder.

use std::ffi::{CString, OsStr};
use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::transfer::{BLOCK_ALIGNMENT, BlockPool};

const STAGING: &str = ".staging";

/// The upload that a start tries the file system with; no real one has this name.
const PROBE: Uuid = Uuid::nil();

/// An open store folder.
pub(super) struct Folder {
    path: PathBuf,
    images: File,
    staging: File,
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
            images: File::open(&path)?,
            staging: File::open(&staging)?,
            path,
        };
        folder.images.sync_all()?;
        Ok(folder)
    }

    /// Whether files here can be written past the page cache: tried, since some file systems
    /// refuse it when a file is opened and some only when it is written.
    ///
    /// # Errors
    /// When nothing can be written here at all.
    pub(super) fn takes_direct_writes(&self) -> io::Result<bool> {
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
        let name = CString::new(name)?;
        // SAFETY: all-zero bytes are a valid open_how.
        let mut how: libc::open_how = unsafe { mem::zeroed() };
        how.flags = READ_FLAGS as u64;
        how.resolve = libc::RESOLVE_CACHED | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_BENEATH;
        // SAFETY: a valid descriptor, a terminated name, and a struct of the stated size.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                self.images.as_raw_fd(),
                name.as_ptr(),
                &raw const how,
                mem::size_of::<libc::open_how>(),
            )
        };
        if fd >= 0 {
            // SAFETY: the kernel has just returned this descriptor to us alone.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }.into());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ELOOP | libc::EMFILE | libc::ENFILE) => Err(error),
            // EAGAIN; or ENOSYS, EPERM, EINVAL of kernels and containers without it.
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Opens an image's file. Blocks.
    pub(super) fn open_image(&self, name: &str) -> io::Result<File> {
        open_at(&self.images, name, READ_FLAGS, 0)
    }

    /// Makes the file of an upload.
    pub(super) fn create_staged(&self, upload: Uuid, mode: Option<u32>) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let file = open_at(
            &self.staging,
            &upload.to_string(),
            flags,
            mode.unwrap_or(0o666),
        )?;
        if let Some(mode) = mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(file)
    }

    /// Opens the file of an upload once more, to be written past the page cache.
    pub(super) fn open_staged_direct(&self, upload: Uuid) -> io::Result<File> {
        let flags = libc::O_WRONLY | libc::O_NOFOLLOW | libc::O_DIRECT;
        open_at(&self.staging, &upload.to_string(), flags, 0)
    }

    /// Gives a complete upload its image's name, durably; an image never replaces another.
    pub(super) fn publish(&self, upload: Uuid, image: &str) -> io::Result<()> {
        let (from, to) = (CString::new(upload.to_string())?, CString::new(image)?);
        // SAFETY: valid descriptors and terminated names.
        let result = unsafe {
            libc::renameat2(
                self.staging.as_raw_fd(),
                from.as_ptr(),
                self.images.as_raw_fd(),
                to.as_ptr(),
                libc::RENAME_NOREPLACE,
            )
        };
        check(result)?;
        self.images.sync_all()
    }

    /// Removes an image's file, durably: its record forgets it next, and after a power cut
    /// nobody would know of a file that came back.
    pub(super) fn remove_image(&self, name: &str) -> io::Result<()> {
        remove_at(&self.images, name)?;
        self.images.sync_all()
    }

    /// Removes the file of an upload, durably for the same reason.
    pub(super) fn remove_staged(&self, upload: Uuid) -> io::Result<()> {
        remove_at(&self.staging, &upload.to_string())?;
        self.staging.sync_all()
    }
}

/// O_NONBLOCK, so that a planted FIFO blocks nobody.
const READ_FLAGS: i32 = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;

fn open_at(folder: &File, name: &str, flags: i32, mode: u32) -> io::Result<File> {
    let name = CString::new(name)?;
    let flags = flags | libc::O_CLOEXEC;
    // SAFETY: a valid descriptor and a terminated name.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr(), flags, mode) };
    check(fd)?;
    // SAFETY: the kernel has just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

/// Removes a name; one that is not there is as good as removed.
fn remove_at(folder: &File, name: &str) -> io::Result<()> {
    let name = CString::new(name)?;
    // SAFETY: a valid descriptor and a terminated name.
    match check(unsafe { libc::unlinkat(folder.as_raw_fd(), name.as_ptr(), 0) }) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
