//! Bytes that trickle in from an origin are relayed at once, not when the kernel stops waiting for
//! a full packet.

use std::time::{Duration, Instant};

use super::{LOCATION, from_with, open_node};
use crate::support::http::Request;
use crate::support::md5_hex;
use crate::support::origin::Origin;
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::v1::{Headers, id_of, image_path};

/// Bytes that arrive at a time, far fewer than a loopback packet holds.
const STEP_BYTES: u64 = 1000;
const STEPS: usize = 9;

/// Limit for half of the steps. The kernel would hold bytes back for 200 ms.
const SOON: Duration = Duration::from_millis(100);

/// The most attempts to stay below the limit on a busy machine.
const ROUNDS: usize = 3;

/// Measures the head and each step of a download, from the moment at which the origin continues.
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

/// Asserts that in at least one of [`ROUNDS`] rounds the median is below [`SOON`]. Bytes that the
/// kernel holds back are late in every round; those of a busy machine are not.
#[track_caller]
fn assert_soon(mut round: impl FnMut() -> Vec<Duration>) {
    let mut late = Vec::new();
    for _ in 0..ROUNDS {
        let mut took = round();
        took.sort();
        if took[took.len() / 2] < SOON {
            return;
        }
        late.push(took);
    }
    panic!("{late:?}");
}

/// Returns the durations of the steps without that of the head.
fn body_steps(headers_of: impl Fn(&Content) -> Vec<(&'static str, String)>) -> Vec<Duration> {
    steps(headers_of).split_off(1)
}

#[test]
fn trickling_bytes_are_relayed_at_once() {
    assert_soon(|| body_steps(|_| Vec::new()));
}

#[test]
fn trickling_verified_bytes_are_relayed_at_once() {
    assert_soon(|| body_steps(|content| vec![("x-image-meta-checksum", md5_hex(&content.all()))]));
}

/// The head must not wait until the origin has sent bytes of the body.
#[test]
fn head_is_sent_before_the_body_arrives() {
    assert_soon(|| (0..5).map(|_| steps(|_| Vec::new())[0]).collect());
}
