//! Crashes and restarts: an incomplete file is never served, and cached images survive.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::node::{MIB, answers, cache_dir, caching, files, fills, locate, patient};
use super::reader::{Reader, read_image};
use crate::support::bytes::Chance;
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;

/// Default number of rounds with random crashes.
const ROUNDS: u64 = 12;

#[test]
fn restart_keeps_cached_files_and_drops_changed_ones() {
    let mut node = caching().start();
    let origins = [5, 6].map(|seed| Origin::honest(Content::new(seed, MIB + seed)));
    let ids = [locate(&node, &origins[0]), locate(&node, &origins[1])];
    let contents = [origins[0].content.all(), origins[1].content.all()];
    for (id, all) in ids.iter().zip(&contents) {
        assert!(read_image(node.address(), id, all).is_good());
    }
    eventually("both are kept", || {
        (fills(&node, "kept") == 2).then_some(())
    });
    node.kill();
    // A foreign file, the remains of a fill, and a flipped bit.
    fs::write(cache_dir(&node).join("README"), "mine").expect("written");
    fs::write(cache_dir(&node).join("incomplete").join("rest"), [0; 99]).expect("written");
    let named = |id: &str| {
        let mut files = files(&node).into_iter().map(|(path, _)| path);
        files
            .find(|path| path.to_string_lossy().contains(id))
            .expect("kept")
    };
    let changed = named(&ids[1]);
    let mut bytes = fs::read(&changed).expect("read");
    bytes[77] ^= 1;
    fs::write(&changed, bytes).expect("written");
    node.start();
    assert!(!changed.exists());
    assert!(cache_dir(&node).join("README").exists());
    assert!(!cache_dir(&node).join("incomplete").join("rest").exists());
    for (id, all) in ids.iter().zip(&contents) {
        assert!(read_image(node.address(), id, all).is_good());
    }
    assert_eq!((answers(&node, "hit"), answers(&node, "miss")), (1, 1));
    assert_eq!(origins[0].times_sent(), (1, 1));
}

#[test]
fn changed_or_missing_file_is_fetched_again() {
    let node = caching().start();
    let origin = Origin::honest(Content::new(7, MIB));
    let id = locate(&node, &origin);
    let all = origin.content.all();
    for round in 1..=4 {
        assert!(read_image(node.address(), &id, &all).is_good());
        eventually("it is kept", || {
            (fills(&node, "kept") == round).then_some(())
        });
        let (path, _) = files(&node).pop().expect("a file");
        match round {
            1 => fs::write(&path, vec![0; all.len()]).expect("written"),
            2 => fs::remove_file(&path).expect("removed"),
            3 => {
                fs::remove_file(&path).expect("removed");
                std::os::unix::fs::symlink("/etc/passwd", &path).expect("planted");
            }
            _ => assert!(read_image(node.address(), &id, &all).is_good()),
        }
    }
    assert_eq!(origin.count("GET"), 4);
}

#[test]
fn smaller_limit_is_enforced_at_start() {
    let mut node = caching().start();
    for seed in 0..3 {
        let origin = Origin::honest(Content::new(seed, MIB));
        let id = locate(&node, &origin);
        assert!(read_image(node.address(), &id, &origin.content.all()).is_good());
    }
    eventually("all are kept", || (fills(&node, "kept") == 3).then_some(()));
    node.set_up(|setup| setup.option("image_cache_max_size", 2 * MIB));
    node.restart();
    eventually("one has left", || (files(&node).len() == 2).then_some(()));
}

#[test]
fn successor_inherits_the_cache_and_cuts_no_reader() {
    let mut node = patient().with_pid_file().start();
    let kept = Origin::honest(Content::new(10, MIB));
    let hold = Hold::default();
    let holding = hold.clone();
    let slow = Origin::start(Content::new(11, 4 * MIB), move |seen| match &*seen.method {
        "GET" => Answer::whole().hold_after(MIB, &holding),
        _ => Answer::whole(),
    });
    let (kept_id, slow_id) = (locate(&node, &kept), locate(&node, &slow));
    let (kept_all, slow_all) = (kept.content.all(), slow.content.all());
    assert!(read_image(node.address(), &kept_id, &kept_all).is_good());
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    let reading = Reader::send(node.address(), &slow_id, "").expect("sent");
    eventually("it is being fetched", || {
        (slow.count("GET") == 1).then_some(())
    });
    node.reload();
    hold.release();
    // The old process completes its fills; the successor serves cached files and downloads others
    // again.
    assert!(reading.read(&slow_all, u64::MAX).is_good());
    assert!(read_image(node.address(), &kept_id, &kept_all).is_good());
    assert_eq!(answers(&node, "hit"), 1);
    assert!(read_image(node.address(), &slow_id, &slow_all).is_good());
    eventually("it is kept here", || {
        (fills(&node, "kept") == 1).then_some(())
    });
    assert_eq!(files(&node).len(), 2);
    assert_eq!(kept.times_sent(), (1, 1));
}

/// The node, the origin or readers end at random: no reader receives a complete wrong image, and at
/// the end every image is served.
#[test]
fn random_crashes_serve_no_wrong_data() {
    let rounds = std::env::var("GLANCE_CACHE_KILL_ROUNDS").ok();
    let rounds = rounds
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(ROUNDS);
    let content = Content::new(9, 3 * MIB + 5);
    let broken = std::sync::Arc::new(AtomicU64::new(0));
    let breaks = std::sync::Arc::clone(&broken);
    let origin = Origin::start(content, move |seen| {
        match (&*seen.method, breaks.load(Ordering::Relaxed)) {
            ("GET", 1) => Answer::whole().reset_after(700_000),
            ("GET", 2) => Answer::whole().wrong_at(3 * MIB),
            ("GET", 3) => Answer::status(500),
            _ => Answer::whole().slowly(64 * 1024, Duration::from_millis(2)),
        }
    });
    let all = origin.content.all();
    let mut node = caching().start();
    let mut chance = Chance::new(rounds);
    let (mut complete, mut killed) = (0_u64, 0_u64);
    for round in 0..rounds {
        broken.store(chance.below(6), Ordering::Relaxed);
        let id = match round % 3 {
            0 => locate(&node, &origin),
            _ => crate::support::v1::ids_of(&node.request(&crate::support::http::Request::get(
                "/v1/images?is_public=None&limit=1",
            )))
            .pop()
            .expect("an image"),
        };
        let address = node.address();
        let wait = Duration::from_millis(chance.below(150));
        let kills_node = chance.below(3) == 0;
        let leaves_after = chance.below(all.len() as u64);
        let got = thread::scope(|scope| {
            let readers: Vec<_> = (0..8)
                .map(|reader| {
                    let (id, all) = (&id, &all);
                    scope.spawn(move || match reader {
                        0 => Reader::send(address, id, "")
                            .map(|reader| reader.read(all, leaves_after))
                            .ok(),
                        _ => Some(read_image(address, id, all)),
                    })
                })
                .collect();
            thread::sleep(wait);
            if kills_node {
                node.kill();
                killed += 1;
            }
            let got = readers
                .into_iter()
                .filter_map(|reader| reader.join().expect("ended"));
            got.collect::<Vec<_>>()
        });
        for got in &got {
            assert!(got.is_right || !got.is_complete(), "round {round}: {got:?}");
        }
        complete += got.iter().filter(|got| got.is_good()).count() as u64;
        if kills_node {
            node.start();
        }
    }
    eprintln!("{rounds} rounds, {killed} kills of the node, {complete} complete reads");
    broken.store(0, Ordering::Relaxed);
    let id = locate(&node, &origin);
    assert!(read_image(node.address(), &id, &all).is_good());
    eventually("it is kept", || {
        let kept = files(&node);
        kept.iter()
            .any(|(path, _)| path.to_string_lossy().contains(&id))
            .then_some(())
    });
}
