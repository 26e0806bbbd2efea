//! Readers during a fill: which bytes are sent at once, and which wait.

use std::sync::Arc;
use std::time::Duration;

use super::node::{MIB, answers, caching, fills, locate, locate_with, patient};
use super::reader::{Reader, read_image, read_part};
use crate::support::eventually;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::process::assert_idle;

const SIZE_BYTES: u64 = 3 * MIB + 77;
/// A reader that receives nothing for this long counts as waiting.
const SILENCE: Duration = Duration::from_millis(300);
/// Position at which the origin stalls until it is released.
const HELD_AT: u64 = MIB;

/// An origin that is held in the middle of its responses.
fn held() -> (Origin, Hold) {
    let hold = Hold::default();
    let holding = hold.clone();
    let origin = Origin::start(Content::new(31, SIZE_BYTES), move |seen| {
        match seen.method.as_str() {
            "GET" => Answer::whole().hold_after(HELD_AT, &holding),
            _ => Answer::whole(),
        }
    });
    (origin, hold)
}

#[test]
fn available_bytes_are_sent_before_the_rest_arrives() {
    let (origin, hold) = held();
    let node = patient().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    // This reader disconnects in the middle; the fill continues.
    let first = Reader::send(node.address(), &id, "").expect("sent");
    assert_eq!(first.read(&all, HELD_AT / 2).status, 200);
    // A range that has arrived is sent at once.
    assert!(read_part(node.address(), &id, &all, 1000, 5000).is_good());
    assert_eq!(fills(&node, "kept"), 0);
    // A range that has not arrived, and the whole image, wait.
    let range = format!("Range: bytes={}-{}\r\n", 2 * MIB, 2 * MIB + 99_999);
    let waiting = Reader::send(node.address(), &id, &range).expect("sent");
    let mut waiting = waiting.answered();
    assert!(waiting.is_silent_for(SILENCE));
    hold.release();
    assert!(waiting.read(&all[2 * MIB as usize..], u64::MAX).is_good());
    assert!(read_image(node.address(), &id, &all).is_good());
    assert_eq!(origin.times_sent(), (1, 1));
    assert_eq!(answers(&node, "miss"), 1);
}

/// Readers that wait for the origin neither delay others nor use the CPU.
#[test]
fn readers_of_a_silent_origin_are_cheap() {
    let (origin, hold) = held();
    let node = patient().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    let waiting: Vec<_> = (0..50)
        .map(|_| Reader::send(node.address(), &id, "").expect("sent"))
        .map(Reader::answered)
        .collect();
    std::thread::sleep(SILENCE);
    assert_idle(node.pid());
    hold.release();
    for reader in waiting {
        assert!(reader.read(&all, u64::MAX).is_good());
    }
}

#[test]
fn fill_outlives_all_readers() {
    let (origin, hold) = held();
    let node = patient().start();
    let id = locate(&node, &origin);
    let all = origin.content.all();
    let first = Reader::send(node.address(), &id, "").expect("sent");
    assert_eq!(first.read(&all, 1).status, 200);
    hold.release();
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    assert!(read_image(node.address(), &id, &all).is_good());
    assert_eq!(answers(&node, "hit"), 1);
    assert_eq!(origin.times_sent(), (1, 1));
}

#[test]
fn last_bytes_wait_for_the_digest() {
    // The wrong last byte is detected only at the end, so no reader has the last bytes.
    let content = Content::new(32, SIZE_BYTES);
    let origin = Origin::start(content, |_| Answer::whole().wrong_at(SIZE_BYTES - 1));
    let node = caching().start();
    let id = locate(&node, &origin);
    let all = Arc::new(origin.content.all());
    let got = read_image(node.address(), &id, &all);
    assert!(!got.is_complete() && got.bytes < SIZE_BYTES, "{got:?}");
    // A reader that requests the whole image as a range does not have them either.
    let got = read_part(node.address(), &id, &all, 0, SIZE_BYTES);
    assert!(!got.is_complete(), "{got:?}");
}

#[test]
fn image_without_a_checksum_is_cached() {
    let origin = Origin::honest(Content::new(33, SIZE_BYTES));
    let node = caching().start();
    let id = locate_with(&node, &origin, &[]);
    let all = origin.content.all();
    assert!(read_image(node.address(), &id, &all).is_good());
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
    assert!(read_image(node.address(), &id, &all).is_good());
    assert_eq!(origin.times_sent(), (1, 1));
}

/// The image cannot be verified, so the range is read from the store instead of waiting for the
/// fill.
#[test]
fn range_of_an_image_without_a_checksum_bypasses_the_fill() {
    let hold = Hold::default();
    let holding = hold.clone();
    let origin = Origin::start(Content::new(34, SIZE_BYTES), move |seen| {
        match (seen.method.as_str(), seen.header("range")) {
            ("GET", None) => Answer::whole().hold_after(HELD_AT, &holding),
            _ => Answer::whole(),
        }
    });
    let node = patient().start();
    let id = locate_with(&node, &origin, &[]);
    let all = origin.content.all();
    let mut first = Reader::send(node.address(), &id, "")
        .expect("sent")
        .answered();
    for len in [512, MIB] {
        let range = format!("Range: bytes=-{len}\r\n");
        let part = Reader::send(node.address(), &id, &range).expect("sent");
        let part = part.read(&all[(SIZE_BYTES - len) as usize..], u64::MAX);
        assert!(part.is_good() && part.bytes == len, "{part:?}");
    }
    assert_eq!(answers(&node, "bypass"), 2);
    assert_eq!(fills(&node, "kept"), 0);
    // The fill continues for its first reader.
    let _ = first.is_silent_for(SILENCE);
    hold.release();
    assert!(first.read(&all, u64::MAX).is_good());
    eventually("it is kept", || (fills(&node, "kept") == 1).then_some(()));
}

#[test]
fn small_images_and_odd_ranges_are_right() {
    let node = caching().start();
    for size_bytes in [1, 4095, 4096, 256 * 1024, 256 * 1024 + 1, MIB + 1] {
        let origin = Origin::honest(Content::new(size_bytes, size_bytes));
        let id = locate(&node, &origin);
        let all = origin.content.all();
        for _ in 0..2 {
            assert!(
                read_image(node.address(), &id, &all).is_good(),
                "{size_bytes}"
            );
            for (first, len) in [
                (0, 1),
                (size_bytes - 1, 1),
                (size_bytes / 2, size_bytes / 3 + 1),
            ] {
                let len = len.min(size_bytes - first);
                let got = read_part(node.address(), &id, &all, first, len);
                assert!(got.is_good(), "{size_bytes} {first} {len} {got:?}");
            }
        }
        assert_eq!(origin.times_sent(), (1, 1), "{size_bytes}");
    }
}
