//! Files that differ from the registry's records. A download must not serve them as correct.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::assert_alive;
use crate::support::PATIENCE;
use crate::support::bytes::Chance;
use crate::support::http::Request;
use crate::support::server::{Server, Setup};
use crate::support::setup::temp_folder;
use crate::support::v1::image_path;

/// Larger than what is read into memory at once, and than the socket buffers.
const LARGE: usize = 24 << 20;

fn file_of(node: &Server, id: &str) -> PathBuf {
    node.store_dir().join(id)
}

fn contains(whole: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(whole, part).is_some()
}

#[test]
fn files_of_wrong_size_are_not_served() {
    let mut node = Setup::new().start();
    let mut chance = Chance::new(7);
    for size in [100_usize, 1 << 20] {
        let body = chance.bytes(size);
        for change in [-1_i64, 1, -(size as i64)] {
            let id = node.upload(&[], &body);
            let file = OpenOptions::new()
                .write(true)
                .open(file_of(&node, &id))
                .expect("a file");
            file.set_len((size as i64 + change) as u64)
                .expect("resized");
            let answer = node.download(&id);
            assert!(
                matches!(answer.status, 404 | 500 | 503),
                "{change}: {}",
                answer.status
            );
            assert!(
                !contains(&body, &answer.body),
                "a part of the data was served"
            );
        }
    }
    let id = node.upload(&[], &chance.bytes(1000));
    fs::remove_file(file_of(&node, &id)).expect("removed");
    assert_eq!(node.download(&id).status, 404);
    // A directory of that name has nothing to send.
    fs::create_dir(file_of(&node, &id)).expect("a folder");
    assert!(matches!(node.download(&id).status, 404 | 500));
    assert_alive(&mut node);
}

/// If a file is truncated during a download, the client receives fewer bytes than announced.
#[test]
fn file_truncated_during_download_aborts_the_response() {
    let mut node = Setup::new().start();
    let body = Chance::new(8).bytes(LARGE);
    let id = node.upload(&[], &body);
    let mut wire = node.connect();
    wire.send(&Request::get(&image_path(&id))).expect("sent");
    let answer = wire.read_head().expect("an answer");
    assert_eq!(
        answer.header("content-length"),
        Some(LARGE.to_string().as_str())
    );
    let file = OpenOptions::new()
        .write(true)
        .open(file_of(&node, &id))
        .expect("a file");
    file.set_len(LARGE as u64 / 2).expect("cut");
    let received = wire.until_closed(PATIENCE).expect("closed");
    assert!(received.len() < LARGE, "{}", received.len());
    assert!(received == body[..received.len()], "not the image's bytes");
    assert_alive(&mut node);
}

#[test]
fn symbolic_links_are_not_followed() {
    let folder = temp_folder();
    let victim = folder.path().join("victim");
    let node = Setup::new().start();
    let mut chance = Chance::new(9);
    for size in [100, 1 << 20] {
        let body = chance.bytes(size);
        let id = node.upload(&[], &body);
        // Of the same size, so that only the link itself can be detected.
        let secret = chance.bytes(size);
        fs::write(&victim, &secret).expect("a victim");
        fs::remove_file(file_of(&node, &id)).expect("removed");
        symlink(&victim, file_of(&node, &id)).expect("a link");
        let answer = node.download(&id);
        assert!(matches!(answer.status, 404 | 500), "{}", answer.status);
        assert!(answer.body != secret);
        // A deletion removes the link, not its target.
        assert_eq!(
            node.ask("DELETE", &format!("/v1/images/{id}"), "", b"")
                .status,
            200
        );
        super::assert_only(&node, &[]);
        assert!(fs::read(&victim).expect("still there") == secret);
    }
}

/// Opening a FIFO without O_NONBLOCK would block.
#[test]
fn fifo_in_the_store_does_not_block() {
    let mut node = Setup::new().start();
    let id = node.upload(&[], b"abc");
    let path = file_of(&node, &id);
    fs::remove_file(&path).expect("removed");
    let name = std::ffi::CString::new(path.display().to_string()).expect("a name");
    // SAFETY: a terminated name.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(matches!(node.download(&id).status, 404 | 500));
    assert_alive(&mut node);
}
