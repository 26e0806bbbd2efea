//! Cached images whose files were changed.

use std::fs::{self, File};
use std::time::Duration;

use super::node::{MIB, caching, files, fills, locate};
use super::reader::read_image;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::within;

#[test]
fn flipped_bit_is_detected_and_the_image_fetched_again() {
    let origin = Origin::start(Content::new(52, 2 * MIB + 99), |_| Answer::whole());
    let node = caching().option("verify_interval", 1).start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    assert!(read_image(node.address(), &id, &all).is_good());
    let kept = || {
        let mut paths = files(&node).into_iter().map(|(path, _)| path);
        paths.find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&*id)
        })
    };
    within(Duration::from_secs(20), "it is kept", || kept().is_some());
    let path = kept().expect("the kept file");
    // The file keeps its size and time, so its name still matches.
    let modified = fs::metadata(&path)
        .and_then(|file| file.modified())
        .expect("a time");
    let mut bytes = fs::read(&path).expect("the file");
    bytes[MIB as usize] ^= 1;
    fs::write(&path, bytes).expect("the file");
    let file = File::options().write(true).open(&path).expect("the file");
    file.set_modified(modified).expect("a time");
    within(Duration::from_secs(60), "it is fetched again", || {
        fills(&node, "kept") == 2
    });
    node.expect_log("cached image does not match its checksum");
    assert!(read_image(node.address(), &id, &all).is_good());
}
