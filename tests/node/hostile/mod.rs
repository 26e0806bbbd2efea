//! Malicious requests. Each test checks the response, that the server survives, and that no data
//! without an image remain in the store.

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

/// Waits until the store contains these images and nothing else.
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

/// Asserts that the server still serves and was not restarted.
fn assert_alive(node: &mut Server) {
    assert!(node.is_running());
    assert_eq!(node.ask("GET", "/v1/images", "", b"").status, 200);
}

/// Waits until the image is killed. The client's response may come before that, or not at all.
fn assert_killed(node: &Server, id: &str) {
    within(PATIENCE, "the image is killed", || {
        node.head(id).image_status() == Some("killed")
    });
}

/// Returns all files below the server's folder except the registry's, which change at any time.
fn outside_registry(node: &Server) -> Vec<String> {
    let found = files_below(node.folder());
    let names = found.iter().map(|(path, _)| path.display().to_string());
    let mut names: Vec<String> = names.filter(|name| !name.contains("/registry/")).collect();
    names.sort();
    names
}

/// Returns the headers of an upload and an additional one.
fn upload_with(header: &str) -> String {
    format!("{UPLOAD}\r\n{header}")
}
