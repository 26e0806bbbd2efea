//! Downloads that are cut at random: a client either receives the image or an error. Cuts of web
//! servers that support resuming are in `http::faults`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::backend::Backend;
use crate::support::bytes::Chance;
use crate::support::gate::Way;
use crate::support::http::Request;
use crate::support::origin::answer::Answer;
use crate::support::origin::content::Content;
use crate::support::origin::{Origin, Seen};
use crate::support::pattern;
use crate::support::v1::{RAW, id_of, image_path, post};

const SIZE_BYTES: u64 = 200_000;

/// The result of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Image,
    /// The connection broke, or the response is an error.
    Nothing,
}

/// Its share of the cuts that the tests here make, 1,000 unless `GLANCE_TEST_CUTS` says
/// another number.
fn cuts(percent: u64) -> u64 {
    let given = std::env::var("GLANCE_TEST_CUTS").ok();
    let all = given.map_or(1_000, |text| text.parse().expect("GLANCE_TEST_CUTS"));
    (all * percent / 100).max(10)
}

/// The seed of a run, drawn at random and printed when a test fails.
fn chance() -> Chance {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    Chance::new(seed)
}

/// # Panics
/// If a complete response is not the image.
#[track_caller]
fn download(backend: &Backend, id: &str, data: &[u8]) -> Got {
    let request = Request::get(&image_path(id));
    match backend.node.connect().exchange(&request) {
        Err(_) => Got::Nothing,
        Ok(answer) if answer.status == 200 => {
            assert!(answer.body == data, "{}: a wrong image", backend.name);
            Got::Image
        }
        Ok(answer) => {
            assert!(answer.status >= 500, "{}", answer.status);
            Got::Nothing
        }
    }
}

/// Downloads an image while the backend's responses are cut: in the head, in the data, and after a
/// resume.
fn cut_often(backend: &Backend, id: &str, data: &[u8], times: u64) -> [u64; 2] {
    let mut chance = chance();
    let mut got = [0; 2];
    for _ in 0..times {
        backend.gate().cut(Way::Down, chance.below(SIZE_BYTES));
        got[download(backend, id, data) as usize] += 1;
    }
    backend.gate().cut(Way::Down, u64::MAX);
    got
}

#[test]
fn downloads_resume_after_cuts() {
    thread::scope(|scope| {
        for backend in [
            || Backend::swift_behind_a_gate("slo"),
            Backend::s3_behind_a_gate,
        ] {
            scope.spawn(move || {
                let (backend, data) = (backend(), pattern(SIZE_BYTES as usize, 1));
                let id = backend.node.upload(&[], &data);
                let times = cuts(25);
                let got = cut_often(&backend, &id, &data, times);
                assert_eq!(got, [times, 0], "{}", backend.name);
            });
        }
    });
}

#[test]
fn changing_objects_are_not_resumed() {
    let backend = Backend::swift_that_never_goes_on();
    let data = pattern(SIZE_BYTES as usize, 1);
    let id = backend.node.upload(&[], &data);
    let mut chance = chance();
    for _ in 0..cuts(15) {
        // After the head; a response that is cut in the head is requested again.
        let after = 2_000 + chance.below(SIZE_BYTES - 2_000);
        backend.gate().cut(Way::Down, after);
        assert_eq!(download(&backend, &id, &data), Got::Nothing, "{after}");
    }
    assert_eq!(download(&backend, &id, &data), Got::Image);
}

/// The object changes continuously in its bytes, but not in its length.
#[test]
fn replaced_objects_are_not_mixed() {
    thread::scope(|scope| {
        for backend in [
            || Backend::swift_behind_a_gate("slo"),
            Backend::s3_behind_a_gate,
        ] {
            scope.spawn(move || {
                let (backend, data) = (backend(), pattern(SIZE_BYTES as usize, 1));
                let id = backend.node.upload(&[], &data);
                let got = while_replacing(&backend, &id, &data, || {
                    cut_often(&backend, &id, &data, cuts(10))
                });
                assert!(got[0] > 0 && got[1] > 0, "{}: {got:?}", backend.name);
                assert_eq!(download(&backend, &id, &data), Got::Image);
            });
        }
    });
}

/// Replaces the image's object and restores it, repeatedly.
fn while_replacing<T>(backend: &Backend, id: &str, data: &[u8], act: impl FnOnce() -> T) -> T {
    let other = pattern(data.len(), 2);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for bytes in [&other[..], data] {
                    backend.replace(id, bytes);
                    thread::sleep(Duration::from_millis(20));
                }
            }
        });
        let _over = Over(&is_over);
        act()
    })
}

/// Stops the replacement, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Cuts the first response where the path states, and then behaves as the path states.
fn unmendable(seen: &Seen) -> Answer {
    let word = |name: &str| {
        let mut words = seen.path.split(['?', '&']);
        words.find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    };
    let number = |name: &str| word(name).and_then(|text| text.parse::<u64>().ok());
    let then = word("then").unwrap_or_default();
    let first = match then {
        "weak" => Answer::whole().etag("W/\"1\""),
        _ => Answer::whole(),
    };
    if seen.method == "HEAD" {
        return first;
    }
    if seen.header("range").is_none() {
        return first.cut_after(number("cut").unwrap_or(0));
    }
    match then {
        "changed" => first.etag("\"second\""),
        "whole" => first.ignores_ranges(),
        "changed-whole" => first.ignores_ranges().etag("\"second\""),
        "shifted" => first.answers_from(number("from").unwrap_or(0)),
        _ => first,
    }
}

/// Only the length of these images is known; they have no checksum.
#[test]
fn web_servers_without_valid_resume_are_cut() {
    const THREADS: u64 = 8;
    let backend = Backend::http();
    let origin = Origin::start(Content::new(6, SIZE_BYTES), unmendable);
    let data = origin.content.all();
    let mut chance = chance();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let (backend, origin, data) = (&backend, &origin, &data);
            let mut chance = chance.fork();
            scope.spawn(move || {
                for _ in 0..cuts(15) / THREADS + 1 {
                    cut_once(backend, origin, data, &mut chance);
                }
            });
        }
    });
}

fn cut_once(backend: &Backend, origin: &Origin, data: &[u8], chance: &mut Chance) {
    const FLAWS: [&str; 5] = ["changed", "weak", "whole", "changed-whole", "shifted"];
    let cut = 1 + chance.below(SIZE_BYTES - 1);
    let flaw = FLAWS[chance.below(5) as usize];
    // At any position except the correct one.
    let from = (cut + 1 + chance.below(SIZE_BYTES - 2)) % SIZE_BYTES;
    let url = origin.url(&format!("/i?cut={cut}&then={flaw}&from={from}"));
    let request = post(RAW).header("x-image-meta-location", &url);
    let id = id_of(&backend.node.request(&request).expect(201));
    // The whole of the same version is read again from its beginning.
    let expected = match flaw {
        "whole" => Got::Image,
        _ => Got::Nothing,
    };
    assert_eq!(download(backend, &id, data), expected, "{url}");
}
