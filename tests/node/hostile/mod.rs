//! Requests that no honest client sends. Each test says what must be answered, and that
//! nothing is left behind: no process that ended, no byte in the store without an image.

mod descriptors;
mod forged;
mod framing;
mod full_disk;
mod heads;
mod integrity;
mod logs;
mod races;
mod slow;
mod uploads;

use crate::support::node::{Node, UPLOAD, files_in};
use crate::support::{PATIENCE, eventually};

/// Nothing is in the store but these images, soon.
pub fn assert_only(node: &Node, images: &[&str]) {
    let mut wanted: Vec<&str> = images.to_vec();
    wanted.sort_unstable();
    eventually("only the images' files in the store", PATIENCE, || {
        let files = node.store_files();
        let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
        names == wanted && node.staged_files().is_empty()
    });
}

/// The server still serves, and has not been started anew.
fn assert_alive(node: &mut Node) {
    assert_eq!(node.has_ended(), None);
    assert_eq!(node.request("GET", "/v1/images", "", b"").status, 200);
}

/// The image is killed, soon: its client is told before, or not at all.
fn assert_killed(node: &Node, id: &str) {
    eventually("the image is killed", PATIENCE, || {
        node.metadata(id).image_status() == Some("killed")
    });
}

/// Every file below the server's folder, for finding ones that do not belong there. The
/// registry makes files of its own when it likes.
fn outside_registry(node: &Node) -> Vec<String> {
    let mut folders = vec![node.folder().to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let files = files_in(&folder);
        found.extend(files.into_iter().map(|(name, _)| folder.join(name)));
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        folders.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
    }
    let names = found.iter().map(|path| path.display().to_string());
    let mut names: Vec<String> = names.filter(|name| !name.contains("/registry/")).collect();
    names.sort();
    names
}

/// The headers of an upload with one more.
fn upload_with(header: &str) -> String {
    format!("{UPLOAD}\r\n{header}")
}
