//! A folder as a descriptor.
//!
//! Every name is looked up from an open descriptor, is a single path component, and is never
//! followed when it is a symbolic link: nothing a name says leads out of the folder.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

/// An open folder.
#[derive(Debug)]
pub struct Directory(File, Opening);

/// How a file of a folder is opened whose name is known to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// Without waiting: by a file system on a device of this machine, or in memory.
    AtOnce,
    /// By asking a server or a daemon (NFS, CephFS, FUSE), or nothing is known of it.
    MayWait,
}

/// File systems that open a file without waiting (linux/magic.h): ext4, XFS, Btrfs, F2FS, tmpfs,
/// ramfs.
const AT_ONCE: [u64; 6] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0x0102_1994,
    0x8584_58f6,
];

impl Opening {
    fn of(folder: &File) -> Self {
        let mut stat = mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: a valid descriptor and a pointer to a struct that the kernel fills in.
        if unsafe { libc::fstatfs(folder.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
            return Self::MayWait;
        }
        // SAFETY: filled in, since the call returned zero.
        let kind = unsafe { stat.assume_init() }.f_type as u64;
        match AT_ONCE.contains(&kind) {
            true => Self::AtOnce,
            false => Self::MayWait,
        }
    }
}

impl Directory {
    /// Opens a folder that is there.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let folder = File::open(path)?;
        let opening = Opening::of(&folder);
        Ok(Self(folder, opening))
    }

    /// Opens a file for reading if that needs no waiting.
    ///
    /// # Errors
    /// `WouldBlock` when it may, or when kernel or file system cannot say; those of openat2(2).
    pub fn open_cached(&self, name: &str) -> io::Result<File> {
        if self.1 == Opening::MayWait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let name = CString::new(name)?;
        // SAFETY: all-zero bytes are a valid open_how.
        let mut how: libc::open_how = unsafe { mem::zeroed() };
        how.flags = READ_FLAGS as u64;
        how.resolve = libc::RESOLVE_CACHED | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_BENEATH;
        // SAFETY: a valid descriptor, a terminated name, and a struct of the stated size.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                self.0.as_raw_fd(),
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

    /// Opens a file for reading. Blocks.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.open_with(name, READ_FLAGS, 0)
    }

    /// Opens a file with flags of openat(2); `mode` is for one that is made. Blocks.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn open_with(&self, name: &str, flags: i32, mode: u32) -> io::Result<File> {
        let name = CString::new(name)?;
        let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        // SAFETY: a valid descriptor and a terminated name.
        let fd = unsafe { libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags, mode) };
        check(fd)?;
        // SAFETY: the kernel has just returned this descriptor to us alone.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
    }

    /// Moves a file to another folder, never in the place of another file. Where the file
    /// system has no `RENAME_NOREPLACE` (NFS, CephFS, 9p, most of FUSE), the file gets its
    /// second name by link(2) and loses the first; a crash between leaves both names.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken; those of renameat2(2), link(2) and unlink(2).
    pub fn rename(&self, from: &str, folder: &Directory, to: &str) -> io::Result<()> {
        match self.rename_at_once(from, folder, to) {
            Err(error) if is_unsupported(&error) => self.link_and_remove(from, folder, to),
            result => result,
        }
    }

    /// Moves a file to another folder in one step, never in the place of another file.
    ///
    /// # Errors
    /// Those of renameat2(2); [`is_unsupported`] tells the file systems that cannot.
    pub fn rename_at_once(&self, from: &str, folder: &Directory, to: &str) -> io::Result<()> {
        let (from, to) = (CString::new(from)?, CString::new(to)?);
        // SAFETY: valid descriptors and terminated names.
        check(unsafe {
            libc::renameat2(
                self.0.as_raw_fd(),
                from.as_ptr(),
                folder.0.as_raw_fd(),
                to.as_ptr(),
                libc::RENAME_NOREPLACE,
            )
        })
    }

    fn link_and_remove(&self, from: &str, folder: &Directory, to: &str) -> io::Result<()> {
        let (old, new) = (CString::new(from)?, CString::new(to)?);
        // SAFETY: valid descriptors and terminated names.
        let linked = check(unsafe {
            libc::linkat(
                self.0.as_raw_fd(),
                old.as_ptr(),
                folder.0.as_raw_fd(),
                new.as_ptr(),
                0,
            )
        });
        match linked {
            // An NFS server whose reply was lost reports the link that it has made itself.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self.inode(from)? != folder.inode(to)? {
                    return Err(error);
                }
            }
            result => result?,
        }
        // The new name is durable before the old one goes.
        folder.sync()?;
        self.remove(from)
    }

    /// The number of the inode that a name stands for; `None` when there is no such name.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn inode(&self, name: &str) -> io::Result<Option<u64>> {
        let name = CString::new(name)?;
        let mut stat = mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: a valid descriptor, a terminated name, a pointer to a struct of the right
        // type.
        let found = check(unsafe {
            libc::fstatat(
                self.0.as_raw_fd(),
                name.as_ptr(),
                stat.as_mut_ptr(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        });
        match found {
            // SAFETY: filled in, since the call returned zero.
            Ok(()) => Ok(Some(unsafe { stat.assume_init() }.st_ino)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Moves a file to another folder, in the place of the file that has the name there.
    ///
    /// # Errors
    /// Those of renameat(2).
    pub fn replace(&self, from: &str, folder: &Directory, to: &str) -> io::Result<()> {
        let (from, to) = (CString::new(from)?, CString::new(to)?);
        let (old, new) = (self.0.as_raw_fd(), folder.0.as_raw_fd());
        // SAFETY: valid descriptors and terminated names.
        check(unsafe { libc::renameat(old, from.as_ptr(), new, to.as_ptr()) })
    }

    /// Removes a name; one that is not there is as good as removed.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let name = CString::new(name)?;
        // SAFETY: a valid descriptor and a terminated name.
        match check(unsafe { libc::unlinkat(self.0.as_raw_fd(), name.as_ptr(), 0) }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Makes what was named and removed here survive a power cut, where the file system can
    /// sync a folder (some network file systems refuse it and need no such call).
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn sync(&self) -> io::Result<()> {
        match self.0.sync_all() {
            Err(error) if is_unsupported(&error) => Ok(()),
            result => result,
        }
    }

    /// Bytes of its file system that may still be taken.
    ///
    /// # Errors
    /// Those of fstatvfs(3).
    pub fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.0)
    }
}

/// Bytes that may still be taken of the file system that a file is in; `u64::MAX` where the
/// file system does not know its size, as some of FUSE.
///
/// # Errors
/// Those of fstatvfs(3).
pub fn free_bytes(file: &File) -> io::Result<u64> {
    let mut stat = mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: a valid descriptor and a pointer to a struct of the right type.
    check(unsafe { libc::fstatvfs(file.as_raw_fd(), stat.as_mut_ptr()) })?;
    // SAFETY: filled in, since the call returned zero.
    let stat = unsafe { stat.assume_init() };
    if stat.f_blocks == 0 {
        return Ok(u64::MAX);
    }
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Takes the room for a file of this length before its bytes come; where the file system
/// cannot, the file has its length and takes room as they come.
///
/// # Errors
/// `StorageFull`; those of fallocate(2).
pub fn reserve_space(file: &File, len: u64) -> io::Result<()> {
    let signed = libc::off_t::try_from(len).map_err(io::Error::other)?;
    // SAFETY: a valid descriptor and plain integers.
    match check(unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, signed) }) {
        Err(error) if is_unsupported(&error) => file.set_len(len),
        result => result,
    }
}

/// Allocates disk space for bytes that a file receives later. The length of the file does not change, so the
/// space may lie behind its end.
///
/// # Errors
/// `StorageFull` and `QuotaExceeded` when there is not enough space; `Unsupported` when the file system cannot
/// allocate in advance.
pub fn allocate_ahead(file: &File, offset: u64, len_bytes: u64) -> io::Result<()> {
    let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
    let len = libc::off_t::try_from(len_bytes).map_err(io::Error::other)?;
    // SAFETY: a valid descriptor and plain integers.
    let allocated =
        unsafe { libc::fallocate(file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, offset, len) };
    check(allocated).map_err(|error| match error.raw_os_error() {
        // EOPNOTSUPP has no kind of its own in every version of the standard library.
        Some(libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL | libc::ENODEV) => {
            io::Error::new(io::ErrorKind::Unsupported, error)
        }
        _ => error,
    })
}

/// Whether an error says that the file system, or the kernel, has no such operation.
pub fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTTY];
    error
        .raw_os_error()
        .is_some_and(|code| unsupported.contains(&code))
}

/// The extended attribute that names the upload a file was written by.
const MARK: &CStr = c"user.glance.upload";

/// Longest mark that is read, in bytes.
const MOST_MARK_BYTES: usize = 64;

/// Marks a file that is open for writing.
///
/// # Errors
/// Those of fsetxattr(2); many file systems have no such attributes.
pub fn set_upload_mark(file: &File, mark: &str) -> io::Result<()> {
    // SAFETY: a valid descriptor, a terminated name, and a buffer of the stated length.
    check(unsafe {
        libc::fsetxattr(
            file.as_raw_fd(),
            MARK.as_ptr(),
            mark.as_ptr().cast(),
            mark.len(),
            0,
        )
    })
}

/// The mark of a file; `None` when it has none, or one that cannot be read.
pub fn upload_mark(file: &File) -> Option<String> {
    let mut mark = vec![0_u8; MOST_MARK_BYTES];
    // SAFETY: a valid descriptor, a terminated name, and a buffer of the stated length.
    let len = unsafe {
        libc::fgetxattr(
            file.as_raw_fd(),
            MARK.as_ptr(),
            mark.as_mut_ptr().cast(),
            mark.len(),
        )
    };
    mark.truncate(usize::try_from(len).ok()?);
    String::from_utf8(mark).ok()
}

/// O_NONBLOCK, so that a planted FIFO blocks nobody.
const READ_FLAGS: i32 = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_takes_no_name_that_is_taken() {
        let path = tempfile::tempdir().unwrap();
        let folder = Directory::open(path.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(path.path().join(name)).ok();
        std::fs::write(path.path().join("from"), "new").unwrap();
        std::fs::write(path.path().join("taken"), "old").unwrap();
        let taken = folder.link_and_remove("from", &folder, "taken");
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read("taken").as_deref(), Some("old"));

        folder.link_and_remove("from", &folder, "to").unwrap();
        assert_eq!((read("from"), read("to").as_deref()), (None, Some("new")));

        // As after a reply of NFS that was lost: both names are of the one file.
        std::fs::hard_link(path.path().join("to"), path.path().join("from")).unwrap();
        folder.link_and_remove("from", &folder, "to").unwrap();
        assert_eq!((read("from"), read("to").as_deref()), (None, Some("new")));
    }
}
