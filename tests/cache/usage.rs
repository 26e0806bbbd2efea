//! The usage of images survives every kind of restart.

use std::time::Duration;

use super::listed::{CACHED, ask, cached, hits};
use super::node::{MIB, cache_dir, caching, files, fills, locate};
use super::reader::read_image;
use crate::support::origin::Origin;
use crate::support::origin::content::Content;
use crate::support::server::Server;
use crate::support::{eventually, within};

/// Limit for the usage to be saved, which happens every 10 s; a busy machine may be late.
const WRITTEN: Duration = Duration::from_secs(60);

#[track_caller]
fn read(node: &Server, id: &str, all: &[u8]) {
    assert!(read_image(node.address(), id, all).is_good());
}

fn last_accessed(node: &Server) -> f64 {
    let [entry] = &cached(node)[..] else {
        panic!("one is kept");
    };
    entry["last_accessed"].as_f64().expect("a time")
}

#[test]
fn hits_survive_shutdown_successor_and_kill() {
    let mut node = caching().with_pid_file().start();
    let origin = Origin::honest(Content::new(1, MIB));
    let id = locate(&node, &origin);
    let all = origin.content.all();
    read(&node, &id, &all);
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    for _ in 0..3 {
        read(&node, &id, &all);
    }
    let before = last_accessed(&node);
    node.restart();
    assert_eq!((hits(&node, &id), last_accessed(&node)), (3, before));
    read(&node, &id, &all);
    node.reload();
    assert_eq!(hits(&node, &id), 4);
    node.await_retired(WRITTEN);
    read(&node, &id, &all);
    assert!(last_accessed(&node) > before);
    let written = cache_dir(&node).join("state").join("usage");
    within(WRITTEN, "it is written down", || {
        std::fs::read_to_string(&written).is_ok_and(|text| text.contains(" 5 "))
    });
    node.kill();
    node.start();
    assert_eq!(hits(&node, &id), 5);
    // An image that was downloaded again starts without hits.
    ask(&node, "DELETE", &format!("{CACHED}/{id}")).expect(200);
    read(&node, &id, &all);
    eventually("it is kept again", || {
        (cached(&node).len() == 1).then_some(())
    });
    assert_eq!(hits(&node, &id), 0);
    assert_eq!(origin.times_sent(), (2, 2));
}

#[test]
fn usage_order_survives_a_restart() {
    let mut node = caching().start();
    let origins = [1, 2, 3].map(|seed| Origin::honest(Content::new(seed, MIB)));
    let ids = [0, 1, 2].map(|index: usize| locate(&node, &origins[index]));
    for (id, origin) in ids.iter().zip(&origins) {
        read(&node, id, &origin.content.all());
    }
    eventually("all are kept", || (fills(&node, "kept") == 3).then_some(()));
    read(&node, &ids[0], &origins[0].content.all());
    node.set_up(|setup| setup.option("image_cache_max_size", 2 * MIB));
    node.restart();
    eventually("one has left", || (files(&node).len() == 2).then_some(()));
    let kept: Vec<_> = cached(&node);
    assert!(kept.iter().any(|entry| entry["image_id"] == ids[0]));
}
