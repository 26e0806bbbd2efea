//! Folders for unit tests.

use std::path::PathBuf;

/// Returns a folder on a disk in which unit tests create their files.
///
/// This is `GLANCE_TEST_FOLDER` where `tests/run` sets it for another user or file system, and
/// the checkout otherwise. `/tmp` does not serve: it may be in memory, where files have no page
/// cache to drop and refuse direct I/O.
pub(crate) fn folder_on_disk() -> PathBuf {
    let chosen = std::env::var_os("GLANCE_TEST_FOLDER");
    chosen.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}
