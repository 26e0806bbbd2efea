//! Lists the files in a folder.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the files in a folder and its subfolders, with their sizes.
pub fn files_below(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    files
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, u64)>) {
    // A folder or file may be removed while the folder is read.
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => walk(&entry.path(), files),
            Ok(metadata) => files.push((entry.path(), metadata.len())),
            Err(_) => {}
        }
    }
}
