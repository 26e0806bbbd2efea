//! A disk that other programs fill: readers receive every image all the same. Requires root for the
//! loop device.

use std::fs;

use super::node::{MIB, answers, caching, fills, locate};
use super::reader::read_image;
use crate::support::disk::Disk;
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::{eventually, skip};

const DISK_BYTES: u64 = 24 * MIB;

#[test]
fn full_disk_bypasses_the_cache_until_there_is_space() {
    let disk = match Disk::new(DISK_BYTES) {
        Ok(disk) => disk,
        Err(error) => return skip("a full disk of the cache", &error),
    };
    let folder = disk.path().join("cache");
    let mut node = caching()
        .option("image_cache_dir", folder.display())
        .start();
    let origins = [1, 2].map(|seed| Origin::honest(Content::new(seed, 4 * MIB + seed)));
    let contents = [origins[0].content.all(), origins[1].content.all()];
    let ids = [locate(&node, &origins[0]), locate(&node, &origins[1])];
    assert!(read_image(node.address(), &ids[0], &contents[0]).is_good());
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    // Another program uses all free space, so that the cache cannot even save its usage.
    let ballast = disk.path().join("ballast");
    let filled = fs::File::create(&ballast).and_then(|file| {
        let zeros = vec![0; MIB as usize];
        loop {
            std::io::Write::write_all(&mut &file, &zeros)?;
        }
    });
    let filled: std::io::Result<()> = filled;
    assert!(filled.is_err_and(|error| error.kind() == std::io::ErrorKind::StorageFull));
    // The space for the second image comes from the first, which has no reader.
    for (id, all) in ids.iter().zip(&contents).rev() {
        for _ in 0..2 {
            assert!(read_image(node.address(), id, all).is_good());
        }
    }
    assert!(node.is_running());
    fs::remove_file(ballast).expect("removed");
    for (id, all) in ids.iter().zip(&contents) {
        eventually("it is kept", || {
            let before = answers(&node, "hit");
            assert!(read_image(node.address(), id, all).is_good());
            (answers(&node, "hit") > before).then_some(())
        });
    }
    node.stop();
    drop(disk);
}
