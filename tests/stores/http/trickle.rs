//! Bytes that come from an origin now and then go on at once, not when the kernel gives up
//! waiting for a full packet.

use std::time::{Duration, Instant};

use super::{LOCATION, from_with, open_node};
use crate::support::http::Request;
use crate::support::md5_hex;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::v1::{Headers, id_of, image_path};

/// Bytes that come at a time: far less than a packet of the loopback has.
const STEP_BYTES: u64 = 1000;
const STEPS: usize = 9;

/// The kernel holds bytes back for 200 ms. Half of the steps must be faster than this on a
/// machine that has much else to do.
const SOON: Duration = Duration::from_millis(100);

/// How long each step took, from the moment at which the origin goes on.
fn steps(headers_of: impl Fn(&Content) -> Vec<(&'static str, String)>) -> Vec<Duration> {
    let holds: Vec<Hold> = (0..STEPS).map(|_| Hold::default()).collect();
    let held = holds.clone();
    let size_bytes = STEP_BYTES * STEPS as u64 + 10;
    let origin = Origin::start(Content::new(3, size_bytes), move |seen| {
        let mut answer = Answer::whole();
        if seen.method == "GET" {
            for (step, hold) in held.iter().enumerate() {
                answer = answer.hold_after(STEP_BYTES * step as u64, hold);
            }
        }
        answer
    });
    let node = open_node();
    let headers = headers_of(&origin.content);
    let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let headers: Headers = &headers;
    let request = from_with(LOCATION, &origin.url("/i"), headers);
    let id = id_of(&node.request(&request).expect(201));
    let mut reader = node.connect();
    let mut began = Instant::now();
    reader.send(&Request::get(&image_path(&id))).expect("sent");
    assert_eq!(reader.read_head().expect("a head").status, 200);
    let mut took = vec![began.elapsed()];
    for (step, hold) in holds.iter().enumerate() {
        began = Instant::now();
        hold.release();
        let bytes = reader.read_bytes(STEP_BYTES as usize).expect("bytes");
        took.push(began.elapsed());
        assert!(origin.content.has(STEP_BYTES * step as u64, &bytes));
    }
    took
}

#[track_caller]
fn assert_soon(mut took: Vec<Duration>) {
    let head = took.remove(0);
    took.sort();
    let median = took[took.len() / 2];
    assert!(median < SOON, "{took:?}, and the head {head:?}");
}

#[test]
fn trickling_bytes_are_relayed_at_once() {
    assert_soon(steps(|_| Vec::new()));
}

#[test]
fn trickling_verified_bytes_are_relayed_at_once() {
    assert_soon(steps(|content| {
        vec![("x-image-meta-checksum", md5_hex(&content.all()))]
    }));
}

/// The head is on its own as long as the origin has sent nothing.
#[test]
fn head_is_sent_before_the_body_arrives() {
    let mut heads: Vec<Duration> = (0..5).map(|_| steps(|_| Vec::new())[0]).collect();
    heads.sort();
    assert!(heads[heads.len() / 2] < SOON, "{heads:?}");
}
