//! A real disk image: created by qemu-img, uploaded and downloaded by the client, and checked by
//! qemu-img.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::process::Command;

use super::{newest, row, stdout_of};
use crate::support::bytes::{Chance, md5_hex};
use crate::support::server::Setup;
use crate::support::skip;

const VIRTUAL: u64 = 64 << 20;

#[test]
fn qcow2_image_survives_upload_and_download() {
    if Command::new("qemu-img").arg("--version").output().is_err() {
        return skip("a qcow2 image", "qemu-img is not installed");
    }
    let node = Setup::new().start();
    let (raw, qcow2) = (
        node.folder().join("disk.raw"),
        node.folder().join("disk.qcow2"),
    );
    let mut chance = Chance::new(40);
    let mut disk = File::create(&raw).expect("a disk");
    disk.set_len(VIRTUAL).expect("its size");
    for _ in 0..20 {
        let place = chance.below(VIRTUAL - 1_000_000);
        disk.seek(SeekFrom::Start(place)).expect("there");
        disk.write_all(&chance.bytes(700_000)).expect("written");
    }
    stdout_of(
        Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", "qcow2"])
            .args([&raw, &qcow2]),
    );
    let tool = newest();
    let create = ["image-create", "--name", "disk", "--disk-format", "qcow2"];
    let shown = stdout_of(
        tool.glance(&node)
            .args(create)
            .args(["--container-format", "bare", "--file"])
            .arg(&qcow2),
    );
    let bytes = fs::read(&qcow2).expect("an image");
    assert_eq!(row(&shown, "checksum"), Some(md5_hex(&bytes)), "{shown}");
    let id = row(&shown, "id").expect("an id");
    let back = node.folder().join("back.qcow2");
    stdout_of(
        tool.glance(&node)
            .args(["image-download", &id, "--file"])
            .arg(&back),
    );
    assert!(fs::read(&back).expect("downloaded") == bytes);
    stdout_of(Command::new("qemu-img").arg("check").arg(&back));
    stdout_of(
        Command::new("qemu-img")
            .args(["compare", "-f", "raw", "-F", "qcow2"])
            .args([&raw, &back]),
    );
}
