//! The secret that whoever can read the registry's folder knows, and nobody else.
//!
//! A node writes a new one there each time it starts; `glance-scrubber` shows it to the node's
//! operator's listener. So it may ask for exactly what it could do itself, if the node did not
//! have the registry open.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use uuid::Uuid;

const FILE: &str = "operator.token";
const OWNER_ONLY: u32 = 0o600;
const FOLDER_OF_OWNER: u32 = 0o700;

fn path(registry_dir: &Path) -> PathBuf {
    registry_dir.join(FILE)
}

/// Creates a new token in the folder of a registry that this process has open. On a full disk
/// the file may be missing; then only a restart makes the node obey the tools of operators.
pub(super) fn issue(registry_dir: &Path) -> io::Result<String> {
    let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    // With a registry elsewhere nobody has made it.
    if let Some(parent) = registry_dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_OF_OWNER).create(registry_dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let path = path(registry_dir);
    // Whatever is there may have other permissions.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    let options = options.write(true).create_new(true).mode(OWNER_ONLY);
    let file = options.open(&path);
    match file.and_then(|mut file| file.write_all(token.as_bytes())) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            tracing::error!(
                %error,
                "glance-scrubber and glance-manage cannot speak to this node: there is no disk \
                 space for the operator's token; make room and restart the node"
            );
        }
        result => result?,
    }
    Ok(token)
}

/// The token of the node that has the registry open.
pub(super) fn read(registry_dir: &Path) -> io::Result<String> {
    fs::read_to_string(path(registry_dir))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_start_has_its_own_and_only_the_owner_reads_it() {
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
        assert_eq!(mode & 0o777, OWNER_ONLY);
    }
}
