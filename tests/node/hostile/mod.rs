//! Requests that no honest client sends. Each test says what must be answered, and that
//! nothing is left behind: no process that ended, no byte in the store without an image.

mod cold_files;
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

use std::path::Path;

use crate::support::files::files_below;
use crate::support::server::Server;
use crate::support::v1::UPLOAD;
use crate::support::{PATIENCE, within};

/// Nothing is in the store but these images, soon.
pub fn assert_only(node: &Server, images: &[&str]) {
    let mut wanted: Vec<&str> = images.to_vec();
    wanted.sort_unstable();
    within(PATIENCE, "only the images' files in the store", || {
        let files = node.stored_files();
        files
            .iter()
            .map(|(path, _)| path)
            .eq(wanted.iter().map(Path::new))
    });
}

/// The server still serves, and has not been started anew.
fn assert_alive(node: &mut Server) {
    assert!(node.is_running());
    assert_eq!(node.ask("GET", "/v1/images", "", b"").status, 200);
}

/// The image is killed, soon: its client is told before, or not at all.
fn assert_killed(node: &Server, id: &str) {
    within(PATIENCE, "the image is killed", || {
        node.head(id).image_status() == Some("killed")
    });
}

/// Every file below the server's folder, for finding ones that do not belong there. The
/// registry makes files of its own when it likes.
fn outside_registry(node: &Server) -> Vec<String> {
    let found = files_below(node.folder());
    let names = found.iter().map(|(path, _)| path.display().to_string());
    let mut names: Vec<String> = names.filter(|name| !name.contains("/registry/")).collect();
    names.sort();
    names
}

/// The headers of an upload with one more.
fn upload_with(header: &str) -> String {
    format!("{UPLOAD}\r\n{header}")
}
