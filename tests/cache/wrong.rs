//! Origins that send wrong bytes, cut or fail.

use std::thread;
use std::time::Duration;

use super::node::{MIB, caching, files, fills, locate, metric};
use super::reader::{Got, read_image};
use crate::support::eventually;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::origin::{Origin, Seen};
use crate::support::server::Server;

const SIZE_BYTES: u64 = 2 * MIB + 99;

/// An origin whose responses to GET are scripted; HEAD is correct.
fn origin(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Origin {
    Origin::start(Content::new(51, SIZE_BYTES), move |seen| {
        match seen.method.as_str() {
            "GET" => script(seen),
            _ => Answer::whole(),
        }
    })
}

/// Several concurrent readers.
fn read_at_once(node: &Server, id: &str, all: &[u8], readers: usize) -> Vec<Got> {
    thread::scope(|scope| {
        let read = || scope.spawn(|| read_image(node.address(), id, all));
        let reading: Vec<_> = (0..readers).map(|_| read()).collect();
        let got = reading
            .into_iter()
            .map(|reader| reader.join().expect("a reader"));
        got.collect()
    })
}

#[test]
fn wrong_fill_is_repeated_once() {
    let origin = origin(|seen| match seen.turn {
        0 => Answer::whole().wrong_at(MIB),
        _ => Answer::whole(),
    });
    let node = caching().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    let got = read_at_once(&node, &id, &all, 20);
    for got in &got {
        assert!(got.is_good() || !got.is_complete(), "{got:?}");
    }
    eventually("the second is kept", || {
        (fills(&node, "kept") == 1).then_some(())
    });
    assert_eq!(fills(&node, "wrong"), 1);
    assert_eq!(metric(&node, "glance_integrity_failures_total"), 1);
    assert!(read_image(node.address(), &id, &all).is_good());
    assert_eq!(origin.count("GET"), 2);
}

#[test]
fn readers_without_bytes_of_a_wrong_fill_get_the_right_one() {
    // The image is so small that no byte is sent before the digest is known.
    let content = Content::new(52, 100_000);
    let origin = Origin::start(content, |seen| match (&*seen.method, seen.turn) {
        ("GET", 0) => Answer::whole().wrong_at(99_999),
        _ => Answer::whole(),
    });
    let node = caching().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    let got = read_at_once(&node, &id, &all, 20);
    assert!(got.iter().all(Got::is_good), "{got:?}");
}

#[test]
fn fill_that_is_wrong_twice_fails() {
    let origin = origin(|_| Answer::whole().wrong_at(5));
    let node = caching().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    for got in read_at_once(&node, &id, &all, 10) {
        assert!(!got.is_complete(), "{got:?}");
    }
    eventually("it has failed", || {
        (fills(&node, "failed") >= 1).then_some(())
    });
    assert_eq!(fills(&node, "kept"), 0);
    eventually("nothing is left", || files(&node).is_empty().then_some(()));
    let leaving = "glance_cache_bytes{state=\"leaving\"}";
    eventually("nothing is counted", || {
        let filling = metric(&node, "glance_cache_bytes{state=\"filling\"}");
        (filling + metric(&node, leaving) == 0).then_some(())
    });
}

#[test]
fn fill_resumes_after_a_cut() {
    let origin = origin(|seen| match seen.turn {
        0 => Answer::whole().cut_after(1_500_000),
        1 => Answer::whole().reset_after(300_000),
        _ => Answer::whole(),
    });
    let node = caching().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    let got = read_at_once(&node, &id, &all, 10);
    assert!(got.iter().all(Got::is_good), "{got:?}");
    assert!(origin.count("GET") >= 2);
    assert!(origin.sent_bytes() < SIZE_BYTES + MIB);
}

#[test]
fn missing_object_fails_all_readers() {
    let origin = origin(|_| Answer::status(404).pause_after(0, Duration::from_millis(200)));
    let node = caching().start();
    let id = locate(&node, &origin);
    let got = read_at_once(&node, &id, &[], 10);
    assert!(got.iter().all(|got| got.status == 404), "{got:?}");
    eventually("nothing is left", || files(&node).is_empty().then_some(()));
}

#[test]
fn unreachable_origin_is_tried_again_by_the_next_reader() {
    let mut origin = origin(|_| Answer::whole());
    let node = caching().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    origin = {
        let broken = Content::new(origin.content.seed(), SIZE_BYTES);
        drop(origin);
        Origin::start(broken, |_| Answer::whole())
    };
    // The first origin's port has no listener now.
    let got = read_at_once(&node, &id, &all, 5);
    assert!(got.iter().all(|got| got.status == 503), "{got:?}");
    let other = locate(&node, &origin);
    assert!(read_image(node.address(), &other, &all).is_good());
}
