//! The secret that authorizes admin commands.
//!
//! A server writes a new token into the registry directory each time it starts, readable by its
//! owner only. `glance-scrubber` reads it and sends it to the admin listener. A program that can
//! read the token could also change the registry itself if the server did not have it open, so
//! the token grants nothing new.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

const FILE_NAME: &str = "operator.token";
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

fn path(registry_dir: &Path) -> PathBuf {
    registry_dir.join(FILE_NAME)
}

/// Writes a new token and returns it. If the disk is full, the error is logged and the token
/// returned all the same: a server that serves without admin commands is better than none.
///
/// # Errors
/// Those of the file system, except a full disk.
pub(super) fn issue(registry_dir: &Path) -> io::Result<String> {
    let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    // A server with a remote registry has not created the directory.
    if let Some(parent) = registry_dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(registry_dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let path = path(registry_dir);
    // The file is not overwritten, because an existing one may have other permissions.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    let options = options.write(true).create_new(true).mode(FILE_MODE);
    let file = options.open(&path);
    match file.and_then(|mut file| file.write_all(token.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            tracing::error!(
                %error,
                file = %path.display(),
                "cannot write the operator token, the disk is full: glance-scrubber cannot send \
                 commands to this server until it is restarted with free disk space"
            );
        }
        result => result?,
    }
    Ok(token)
}

/// Reads the token of the server that has the registry open.
///
/// # Errors
/// Those of the file system.
pub(super) fn read(registry_dir: &Path) -> io::Result<String> {
    fs::read_to_string(path(registry_dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_start_issues_a_new_token_for_the_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).is_err());
        let first = issue(folder.path()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), first);
        let open = fs::Permissions::from_mode(0o666);
        fs::set_permissions(path(folder.path()), open).unwrap();
        let second = issue(folder.path()).unwrap();
        assert_ne!(first, second);
        assert_eq!(read(folder.path()).unwrap(), second);
        let mode = fs::metadata(path(folder.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, FILE_MODE);
    }
}
