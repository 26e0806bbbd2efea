//! An open directory, in which the file store and the cache create, open, rename and remove files.
//!
//! Every name is a single path component that is resolved relative to the open directory, and a
//! symbolic link is never followed. No name can therefore lead out of the directory, even if
//! another process replaces entries.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, FallocateFlags, Mode, OFlags, RenameFlags, ResolveFlags, XattrFlags, fallocate,
    fgetxattr, fsetxattr, fstatfs, fstatvfs, linkat, openat, openat2, renameat, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;

/// An open directory.
#[derive(Debug)]
pub struct Directory(File, OpenCost);

/// Whether opening a file in a directory may block although its name is cached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenCost {
    /// Opening never waits: the file system is in memory or on a local device.
    NoWait,
    /// Opening asks a server or a daemon (NFS, CephFS, FUSE), or the file system is unknown.
    MayWait,
}

/// Magic numbers of the file systems that open a cached file without waiting (linux/magic.h):
/// ext4, XFS, Btrfs, F2FS, tmpfs, ramfs.
const NO_WAIT: [u64; 6] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0x0102_1994,
    0x8584_58f6,
];

impl OpenCost {
    fn of(directory: &File) -> Self {
        match fstatfs(directory) {
            Ok(stat) if NO_WAIT.contains(&(stat.f_type as u64)) => Self::NoWait,
            _ => Self::MayWait,
        }
    }
}

/// Flags of every file that is opened for reading. `NONBLOCK` prevents a FIFO that someone
/// placed in the directory from blocking the open.
const READ_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

impl Directory {
    /// Opens an existing directory.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path) -> io::Result<Self> {
        let directory = File::open(path)?;
        let cost = OpenCost::of(&directory);
        Ok(Self(directory, cost))
    }

    /// Opens a file for reading if the kernel can do so without waiting, so that a worker may
    /// call it.
    ///
    /// # Errors
    /// `WouldBlock` if opening may wait, or if the kernel or file system cannot tell; those of
    /// openat2(2).
    pub fn open_cached(&self, name: &str) -> io::Result<File> {
        if self.1 == OpenCost::MayWait {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let resolve = ResolveFlags::CACHED | ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
        match openat2(&self.0, name, READ_FLAGS, Mode::empty(), resolve) {
            Ok(file) => Ok(file.into()),
            Err(error @ (Errno::NOENT | Errno::LOOP | Errno::MFILE | Errno::NFILE)) => {
                Err(error.into())
            }
            // EAGAIN means that the name is not cached. ENOSYS, EPERM and EINVAL come from
            // kernels and container runtimes without openat2(2) or RESOLVE_CACHED.
            Err(_) => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Opens a file for reading. Blocks.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        let file = openat(&self.0, name, READ_FLAGS, Mode::empty())?;
        Ok(file.into())
    }

    /// Opens a file with flags of openat(2). `mode` applies if the file is created. Blocks.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn open_with(&self, name: &str, flags: i32, mode: u32) -> io::Result<File> {
        let flags = OFlags::from_bits_retain(flags.cast_unsigned());
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.0, name, flags, Mode::from_raw_mode(mode))?.into())
    }

    /// Moves a file to another directory. Never replaces an existing file.
    ///
    /// On file systems without `RENAME_NOREPLACE` (NFS, CephFS, 9p, most of FUSE), the file gets
    /// its second name by link(2) and then loses the first. A crash in between leaves both names.
    ///
    /// # Errors
    /// `AlreadyExists` if the name exists; those of renameat2(2), link(2) and unlink(2).
    pub fn rename(&self, from: &str, directory: &Directory, to: &str) -> io::Result<()> {
        match self.rename_at_once(from, directory, to) {
            Err(error) if is_unsupported(&error) => self.link_and_remove(from, directory, to),
            result => result,
        }
    }

    /// Moves a file to another directory in one step. Never replaces an existing file.
    ///
    /// # Errors
    /// Those of renameat2(2); [`is_unsupported`] recognises file systems without the operation.
    pub fn rename_at_once(&self, from: &str, directory: &Directory, to: &str) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        Ok(renameat_with(&self.0, from, &directory.0, to, flags)?)
    }

    fn link_and_remove(&self, from: &str, directory: &Directory, to: &str) -> io::Result<()> {
        match linkat(&self.0, from, &directory.0, to, AtFlags::empty()) {
            // An NFS client repeats a request whose reply was lost. The server then reports
            // EEXIST for the link that the first request created. Equal inodes show this case.
            Err(error @ Errno::EXIST) => {
                if self.inode(from)? != directory.inode(to)? {
                    return Err(error.into());
                }
            }
            result => result?,
        }
        // The new name must be durable before the old one is removed; otherwise a power cut could
        // lose both.
        directory.sync()?;
        self.remove(from)
    }

    /// Returns the inode number of a name, or `None` if there is no such name.
    ///
    /// # Errors
    /// Those of fstatat(2).
    pub fn inode(&self, name: &str) -> io::Result<Option<u64>> {
        match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat.st_ino)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a file to another directory and replaces the file that has the name there.
    ///
    /// # Errors
    /// Those of renameat(2).
    pub fn replace(&self, from: &str, directory: &Directory, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &directory.0, to)?)
    }

    /// Removes a name. Succeeds if there is no such name.
    ///
    /// # Errors
    /// Those of unlinkat(2).
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Makes the creation and removal of names durable (fsync(2) of the directory). File systems
    /// that refuse to sync a directory, such as some network file systems, need no such call.
    ///
    /// # Errors
    /// Those of fsync(2).
    pub fn sync(&self) -> io::Result<()> {
        match self.0.sync_all() {
            Err(error) if is_unsupported(&error) => Ok(()),
            result => result,
        }
    }

    /// Returns the free bytes of the directory's file system.
    ///
    /// # Errors
    /// Those of fstatvfs(3).
    pub fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.0)
    }
}

/// Returns the free bytes of the file system of an open file, or `u64::MAX` if the file system
/// does not know its size (some of FUSE).
///
/// # Errors
/// Those of fstatvfs(3).
pub fn free_bytes(file: impl AsFd) -> io::Result<u64> {
    let stat = fstatvfs(file)?;
    if stat.f_blocks == 0 {
        return Ok(u64::MAX);
    }
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Allocates the disk space of a file of `len` bytes before its data arrive. If the file system
/// cannot, only sets the length; space is then allocated as the data are written.
///
/// # Errors
/// `StorageFull`; those of fallocate(2).
pub fn reserve_space(file: &File, len: u64) -> io::Result<()> {
    // The kernel takes a signed length.
    i64::try_from(len).map_err(io::Error::other)?;
    match fallocate(file, FallocateFlags::empty(), 0, len).map_err(io::Error::from) {
        Err(error) if is_unsupported(&error) => file.set_len(len),
        result => result,
    }
}

/// Allocates disk space for bytes that a file receives later. The length of the file does not
/// change, so the space may lie behind its end.
///
/// # Errors
/// `StorageFull` and `QuotaExceeded` if there is not enough space; `Unsupported` if the file
/// system cannot allocate in advance.
pub fn allocate_ahead(file: &File, offset: u64, len_bytes: u64) -> io::Result<()> {
    for number in [offset, len_bytes] {
        i64::try_from(number).map_err(io::Error::other)?;
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, offset, len_bytes) {
        // EOPNOTSUPP has no kind of its own in every version of the standard library.
        Err(error @ (Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::NODEV)) => Err(
            io::Error::new(io::ErrorKind::Unsupported, io::Error::from(error)),
        ),
        result => Ok(result?),
    }
}

/// Returns true if an error means that the file system or the kernel lacks the operation.
pub fn is_unsupported(error: &io::Error) -> bool {
    let unsupported = [libc::EINVAL, libc::ENOSYS, libc::EOPNOTSUPP, libc::ENOTTY];
    error
        .raw_os_error()
        .is_some_and(|code| unsupported.contains(&code))
}

/// The extended attribute with the id of the upload that wrote a file.
const UPLOAD_MARK: &str = "user.glance.upload";

/// Longest mark that is read, in bytes.
const MAX_MARK_BYTES: usize = 64;

/// Stores the id of the upload that writes an open file.
///
/// # Errors
/// Those of fsetxattr(2); many file systems have no extended attributes.
pub fn set_upload_mark(file: &File, mark: &str) -> io::Result<()> {
    Ok(fsetxattr(
        file,
        UPLOAD_MARK,
        mark.as_bytes(),
        XattrFlags::empty(),
    )?)
}

/// Returns the id of the upload that wrote a file, or `None` if there is none or it cannot be
/// read.
pub fn upload_mark(file: &File) -> Option<String> {
    let mut mark = vec![0_u8; MAX_MARK_BYTES];
    let len = fgetxattr(file, UPLOAD_MARK, &mut mark[..]).ok()?;
    mark.truncate(len);
    String::from_utf8(mark).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_never_replaces_an_existing_name() {
        let path = tempfile::tempdir().unwrap();
        let directory = Directory::open(path.path()).unwrap();
        let read = |name: &str| std::fs::read_to_string(path.path().join(name)).ok();
        std::fs::write(path.path().join("from"), "new").unwrap();
        std::fs::write(path.path().join("taken"), "old").unwrap();
        let taken = directory.link_and_remove("from", &directory, "taken");
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read("taken").as_deref(), Some("old"));

        directory.link_and_remove("from", &directory, "to").unwrap();
        assert_eq!((read("from"), read("to").as_deref()), (None, Some("new")));

        // As after a lost reply of an NFS server: both names refer to one file.
        std::fs::hard_link(path.path().join("to"), path.path().join("from")).unwrap();
        directory.link_and_remove("from", &directory, "to").unwrap();
        assert_eq!((read("from"), read("to").as_deref()), (None, Some("new")));
    }
}
