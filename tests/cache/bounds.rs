//! The size limit holds at every moment; the least recently read image is evicted, but never one
//! that is being read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::node::{MIB, answers, cache_dir, caching, files, fills, locate, metric};
use super::reader::{Reader, read_image, read_part};
use crate::support::bytes::Chance;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::server::Server;

/// Default duration of the random run, in seconds.
const RANDOM_RUN_S: u64 = 10;

#[track_caller]
fn await_kept(node: &Server, fills_kept: u64) {
    eventually("it is kept", || {
        (fills(node, "kept") == fills_kept).then_some(())
    });
}

#[test]
fn least_recently_read_image_is_evicted() {
    let node = caching().option("image_cache_max_size", 3 * MIB).start();
    let origins: Vec<_> = (0..4)
        .map(|seed| Origin::honest(Content::new(seed, MIB)))
        .collect();
    let ids: Vec<_> = origins.iter().map(|origin| locate(&node, origin)).collect();
    let read = |index: usize| {
        let all = origins[index].content.all();
        assert!(read_image(node.address(), &ids[index], &all).is_good());
    };
    for index in [0, 1, 2] {
        read(index);
        await_kept(&node, index as u64 + 1);
    }
    // The first is read again, so that the second is the least recently read.
    read(0);
    read(3);
    await_kept(&node, 4);
    assert_eq!(
        metric(&node, "glance_cache_evictions_total{reason=\"room\"}"),
        1
    );
    let kept = |index: usize| {
        let files = files(&node);
        files
            .iter()
            .any(|(path, _)| path.to_string_lossy().contains(&ids[index]))
    };
    assert_eq!([0, 1, 2, 3].map(kept), [true, false, true, true]);
}

#[test]
fn images_in_use_stay_and_others_bypass_the_cache() {
    // More than socket buffers hold, so that a reader that stops is in the middle.
    const LARGE_BYTES: u64 = 24 * MIB;
    let node = caching()
        .option("image_cache_max_size", LARGE_BYTES)
        .start();
    let large = Origin::honest(Content::new(1, LARGE_BYTES));
    let small = Origin::honest(Content::new(2, MIB));
    let (large_id, small_id) = (locate(&node, &large), locate(&node, &small));
    let (all, small_all) = (large.content.all(), small.content.all());
    let stopped = Reader::send(node.address(), &large_id, "").expect("sent");
    await_kept(&node, 1);
    assert!(read_image(node.address(), &small_id, &small_all).is_good());
    assert_eq!((answers(&node, "bypass"), fills(&node, "no_room")), (1, 1));
    assert!(stopped.read(&all, u64::MAX).is_good());
    // The image has no reader any more.
    eventually("there is room", || {
        assert!(read_image(node.address(), &small_id, &small_all).is_good());
        (fills(&node, "kept") == 2).then_some(())
    });
    // An image larger than the cache evicts nothing.
    let huge = Origin::honest(Content::new(3, LARGE_BYTES + 1));
    let huge_id = locate(&node, &huge);
    assert!(read_image(node.address(), &huge_id, &huge.content.all()).is_good());
    assert_eq!(files(&node).len(), 1);
}

#[test]
fn free_disk_space_is_kept() {
    let node = caching()
        .option("image_cache_min_free", 1_u64 << 49)
        .start();
    let origin = Origin::honest(Content::new(4, MIB));
    let id = locate(&node, &origin);
    assert!(read_image(node.address(), &id, &origin.content.all()).is_good());
    assert_eq!(answers(&node, "bypass"), 1);
    assert!(files(&node).is_empty());
}

/// Returns the files of the cache's folder, each with its length and its blocks in bytes.
fn look(node: &Server) -> BTreeMap<PathBuf, (u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = BTreeMap::new();
    for folder in [cache_dir(node), cache_dir(node).join("incomplete")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // The file may be removed meanwhile.
            if let Ok(metadata) = entry.metadata()
                && metadata.is_file()
            {
                seen.insert(entry.path(), (metadata.len(), metadata.blocks() * 512));
            }
        }
    }
    seen
}

/// Returns the space that the cache's folder uses at one moment: lengths and blocks. Listing takes
/// time, in which files may be removed and added. Files that two consecutive listings contain
/// existed together between them, since names are never reused.
fn taken_bytes(node: &Server) -> (u64, u64) {
    let mut before = look(node);
    loop {
        let now = look(node);
        if now == before {
            let add = |sum: (u64, u64), file: &(u64, u64)| (sum.0 + file.0, sum.1 + file.1);
            return now.values().fold((0, 0), add);
        }
        before = now;
    }
}

/// Random readers of many images, some of which disconnect, with origins that cut and with
/// deletions: the limit is exceeded at no moment.
#[test]
fn limit_is_never_exceeded() {
    const LIMIT_BYTES: u64 = 10 * MIB;
    let seconds = std::env::var("GLANCE_CACHE_RANDOM_S").ok();
    let seconds = seconds.and_then(|s| s.parse().ok()).unwrap_or(RANDOM_RUN_S);
    let node = caching()
        .option("image_cache_max_size", LIMIT_BYTES)
        .start();
    let origins: Vec<_> = (0..12)
        .map(|seed| {
            let content = Content::new(seed, (seed + 1) * MIB / 3 + seed);
            Origin::start(content, move |seen| match (&*seen.method, seen.turn % 5) {
                ("GET", 3) => Answer::whole().cut_after(100_000),
                ("GET", 4) if seed % 3 == 0 => Answer::whole().wrong_at(7),
                _ => Answer::whole().slowly(200_000, Duration::from_millis(1)),
            })
        })
        .collect();
    let is_over = AtomicBool::new(false);
    let length = Duration::from_secs(seconds);
    let (node, origins, is_over) = (&node, &origins, &is_over);
    thread::scope(|scope| {
        let watching = scope.spawn(move || {
            let (mut most, mut looks) = ((0, 0), 0_u64);
            while !is_over.load(Ordering::Relaxed) {
                let taken = taken_bytes(node);
                most = (most.0.max(taken.0), most.1.max(taken.1));
                looks += 1;
                thread::sleep(Duration::from_micros(200));
            }
            (most, looks)
        });
        let readers: Vec<_> = (0..6)
            .map(|seed| scope.spawn(move || wander(node, origins, seed, length)))
            .collect();
        let good: u64 = readers
            .into_iter()
            .map(|reader| reader.join().expect("ended"))
            .sum();
        is_over.store(true, Ordering::Relaxed);
        let (most, looks) = watching.join().expect("watched");
        eprintln!("{looks} looks, at most {most:?} bytes and blocks, {good} good reads");
        assert!(
            most.0 <= LIMIT_BYTES && most.1 <= LIMIT_BYTES,
            "{most:?} > {LIMIT_BYTES}"
        );
        assert!(most.0 > LIMIT_BYTES / 2 && good > 10);
    });
    assert!(metric(node, "glance_cache_evictions_total{reason=\"room\"}") > 0);
}

/// Reads random images until a time, and returns how many reads were complete. No complete read may
/// be wrong.
fn wander(node: &Server, origins: &[Origin], seed: u64, length: Duration) -> u64 {
    let mut chance = Chance::new(seed);
    let mut ids: Vec<_> = origins.iter().map(|origin| locate(node, origin)).collect();
    let contents: Vec<_> = origins.iter().map(|origin| origin.content.all()).collect();
    let end = Instant::now() + length;
    let mut good = 0;
    while Instant::now() < end {
        let index = chance.below(origins.len() as u64) as usize;
        let (id, all) = (&ids[index], &contents[index]);
        let size_bytes = all.len() as u64;
        let got = match chance.below(4) {
            0 => {
                let first = chance.below(size_bytes);
                let len = 1 + chance.below(size_bytes - first);
                read_part(node.address(), id, all, first, len)
            }
            1 => {
                let reader = Reader::send(node.address(), id, "").expect("sent");
                reader.read(all, chance.below(size_bytes))
            }
            _ => read_image(node.address(), id, all),
        };
        // A range before the end of a wrong fill may be wrong, since the MD5 is not known yet.
        let is_whole = got.promised == size_bytes;
        assert!(!(is_whole && got.is_complete() && !got.is_right), "{got:?}");
        good += u64::from(got.is_good());
        if chance.below(30) == 0 {
            node.remove(id).expect(200);
            ids[index] = locate(node, &origins[index]);
        }
    }
    good
}
