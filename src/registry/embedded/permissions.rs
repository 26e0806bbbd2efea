//! Permissions of the registry's folder. Records contain locations, and locations can contain
//! passwords, so only the owner of the folder may read it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Mode of files: read and write for the owner.
pub(super) const FILE_MODE: u32 = 0o600;
/// Mode of folders: all rights for the owner.
const FOLDER_MODE: u32 = 0o700;

/// Returns options that open a file for reading and writing and create it for its owner alone.
pub(super) fn private_file() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

/// Creates the folder for its owner alone. Missing parent folders get the default mode.
///
/// # Errors
/// Those of the file system.
pub(super) fn create_private_folder(folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        result => result,
    }
}

/// Removes the rights of group and others from a folder and everything in it. Folders of earlier
/// releases have them, and so have new files of sled.
pub(super) fn tighten(folder: &Path) {
    if let Err(error) = tighten_all(folder) {
        let folder = folder.display();
        tracing::warn!(%error, %folder, "other users may be able to read the registry's files");
    }
}

fn tighten_all(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let (mode, wanted) = match metadata.is_dir() {
        true => (metadata.permissions().mode(), FOLDER_MODE),
        false => (metadata.permissions().mode(), FILE_MODE),
    };
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(mode & wanted))?;
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            match tighten_all(&entry?.path()) {
                // Removed since the folder was read.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => result?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tighten_removes_rights_of_group_and_others() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data/registry");
        create_private_folder(&folder).unwrap();
        create_private_folder(&folder).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        let aside = folder.join("damaged-1");
        fs::create_dir(&aside).unwrap();
        for path in [&folder, &aside] {
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
            fs::write(path.join("db"), b"secret").unwrap();
            fs::set_permissions(path.join("db"), Permissions::from_mode(0o644)).unwrap();
        }
        tighten(&folder);
        for path in [&folder, &aside] {
            assert_eq!((mode(path), mode(&path.join("db"))), (0o700, 0o600));
        }
    }
}
