//! Permissions of the registry's files. The locations in them may contain passwords.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::server::Setup;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

/// Returns a folder and all entries below it.
fn all_in(folder: &Path) -> Vec<PathBuf> {
    let mut all = vec![folder.to_owned()];
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(all_in(&path)),
            path => all.push(path),
        }
    }
    all
}

#[test]
fn registry_files_are_readable_by_owner_only() {
    let mut node = Setup::new().start();
    node.upload(&[], b"data");
    let folder = node.data_dir().join("registry");
    let check = || {
        let all = all_in(&folder);
        assert!(all.iter().any(|path| path.ends_with("journal")));
        assert!(all.iter().any(|path| path.ends_with("operator.token")));
        for path in all {
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), wanted, "{}", path.display());
        }
    };
    check();
    node.stop();
    // Permissions that earlier releases used.
    fs::create_dir(folder.join("damaged-1")).expect("a folder");
    fs::write(folder.join("damaged-1/db"), b"").expect("written");
    for path in all_in(&folder) {
        let open = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(open)).expect("changed");
    }
    node.start();
    node.upload(&[], b"more data");
    check();
    node.stop();
    check();
}
