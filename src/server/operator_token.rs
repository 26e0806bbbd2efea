//! The secret that whoever can read the registry's folder knows, and nobody else.
//!
//! A node writes a new one there each time it starts; `glance-scrubber` shows it to the node's
//! operator's listener. So it may ask for exactly what it could do itself, if the node did not
//! have the registry open.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

const FILE: &str = "operator.token";
const OWNER_ONLY: u32 = 0o600;

fn path(registry_dir: &Path) -> PathBuf {
    registry_dir.join(FILE)
}

/// Makes a new token in the folder of a registry that this process has open.
pub(super) fn issue(registry_dir: &Path) -> io::Result<String> {
    let token = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    // With a registry elsewhere nobody has made it.
    fs::create_dir_all(registry_dir)?;
    let path = path(registry_dir);
    // Whatever is there may have other permissions.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(&path)?;
    file.write_all(token.as_bytes())?;
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
