//! Origins that cut, stall, lie or never end: a client receives the right bytes or an error.

use std::io;
use std::time::{Duration, Instant};

use super::{COPY_FROM, LOCATION, end_of_copy, from, from_with, open_node, open_setup};
use crate::support::http::{Request, Response};
use crate::support::origin::answer::{Answer, Hold};
use crate::support::origin::content::Content;
use crate::support::origin::{Origin, Seen};
use crate::support::process::assert_idle;
use crate::support::server::Server;
use crate::support::v1::{id_of, image_path};
use crate::support::within;

const SIZE_BYTES: u64 = 2_000_000;

/// An origin whose responses to GET are scripted; HEAD is correct.
fn origin(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Origin {
    Origin::start(Content::new(5, SIZE_BYTES), move |seen| {
        match seen.method.as_str() {
            "HEAD" => Answer::whole(),
            _ => script(seen),
        }
    })
}

#[track_caller]
fn locate(node: &Server, origin: &Origin) -> String {
    id_of(&node.request(&from(LOCATION, &origin.url("/i"))).expect(201))
}

fn try_download(node: &Server, id: &str) -> io::Result<Response> {
    node.connect().exchange(&Request::get(&image_path(id)))
}

/// Waits until a copy has ended, and asserts that it left nothing unless it is active.
#[track_caller]
fn copy(node: &Server, origin: &Origin) -> (String, String) {
    let request = from(COPY_FROM, &origin.url("/i"));
    let id = id_of(&node.request(&request).expect(201));
    let end = end_of_copy(node, &id);
    if end != "active" {
        node.await_nothing_stored(&id);
    }
    (id, end)
}

/// A xorshift generator, so that a failure can be reproduced by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Where a response is cut, according to the path of the request: `/i?cut=5&reset=7`. A response
/// that begins after a position is not cut there.
fn break_off(seen: &Seen) -> Answer {
    let begins = seen.header("range").map_or(0, |range| {
        let first = range.trim_start_matches("bytes=").split('-').next();
        first.and_then(|first| first.parse().ok()).unwrap_or(0)
    });
    let places = seen.path.split(['?', '&']).filter_map(|word| {
        let (how, place) = word.split_once('=')?;
        Some((how, place.parse::<u64>().ok()?))
    });
    let next = places
        .filter(|(_, place)| begins < *place)
        .min_by_key(|(_, place)| *place);
    match next {
        Some(("cut", place)) => Answer::whole().cut_after(place - begins),
        Some((_, place)) => Answer::whole().reset_after(place - begins),
        None => Answer::whole(),
    }
}

#[test]
fn a_thousand_random_cuts_give_no_wrong_result() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 1000 / THREADS;
    const SIZE_BYTES: u64 = 200_000;
    let origin = Origin::start(Content::new(6, SIZE_BYTES), break_off);
    let all = origin.content.all();
    let download = |seed: u64| {
        let (node, mut random) = (open_node(), Random(seed));
        for round in 0..ROUNDS {
            let mut place = || 1 + random.below(SIZE_BYTES - 1);
            let path = match round % 4 {
                0 => format!("/i?cut={}", place()),
                1 => format!("/i?reset={}", place()),
                2 => format!("/i?cut={}&cut={}", place(), place()),
                // So early that the first bytes arrive with the head.
                _ => format!("/i?cut={}", place() % 300 + 1),
            };
            let request = from(LOCATION, &origin.url(&path));
            let id = id_of(&node.request(&request).expect(201));
            let got = try_download(node, &id);
            let got = got.unwrap_or_else(|error| panic!("{path}, seed {seed:#x}: {error}"));
            assert!(got.expect(200).body == all, "{path}, seed {seed:#x}");
        }
    };
    std::thread::scope(|scope| {
        for thread in 1..=THREADS {
            let seed = u64::from(std::process::id()) << 32 | thread;
            scope.spawn(move || download(seed));
        }
    });
}

#[test]
fn download_resumes_where_it_was_cut() {
    let node = open_node();
    let origin = origin(|seen| match seen.turn {
        0 => Answer::whole().cut_after(1_234_567),
        _ => Answer::whole(),
    });
    let id = locate(node, &origin);
    assert!(origin.content.all() == node.download(&id).expect(200).body);
    assert_eq!(origin.times_sent(), (1, 1));
    let resumed = origin.seen().pop().expect("a request");
    assert_eq!(resumed.header("range"), Some("bytes=1234567-1999999"));
    assert_eq!(resumed.header("if-range"), Some("\"first\""));
    assert_eq!(resumed.header("accept-encoding"), Some("identity"));
}

#[test]
fn copy_resumes_where_it_was_cut() {
    let node = open_node();
    let origin = origin(|seen| match seen.turn {
        0 => Answer::whole().reset_after(1_000_001),
        // While it restarts, it refuses connections.
        1 => Answer::status(503),
        _ => Answer::whole(),
    });
    let (id, end) = copy(node, &origin);
    assert_eq!(end, "active");
    assert!(origin.content.all() == node.download(&id).expect(200).body);
}

#[test]
fn origin_that_always_cuts_is_given_up() {
    let node = open_node();
    let origin = origin(|_| Answer::whole().cut_after(1000));
    let id = locate(node, &origin);
    assert!(try_download(node, &id).is_err());
    let asked = origin.count("GET");
    assert!((2..10).contains(&asked), "{asked}");
    assert_eq!(copy(node, &origin).1, "killed");
}

#[test]
fn changed_object_is_not_resumed() {
    let node = open_node();
    let changed: [fn() -> Answer; 4] = [
        || Answer::whole().etag("\"second\""),
        || Answer::whole().etag("W/\"first\""),
        || Answer::whole().etag("\"second\"").ignores_ranges(),
        || Answer::whole().answers_from(1000),
    ];
    for change in changed {
        let origin = origin(move |seen| match seen.turn {
            0 => Answer::whole().cut_after(1_500_000),
            _ => change(),
        });
        let id = locate(node, &origin);
        assert!(try_download(node, &id).is_err());
        let origin_of_copy = self::origin(move |seen| match seen.turn {
            0 => Answer::whole().cut_after(1_500_000),
            _ => change(),
        });
        assert_eq!(copy(node, &origin_of_copy).1, "killed");
    }
}

/// It sends the object from its start, so that the first bytes are discarded.
#[test]
fn origin_without_ranges_is_resumed_from_its_start() {
    let node = open_node();
    let answers: [fn() -> Answer; 2] = [
        || Answer::whole().ignores_ranges(),
        || Answer::whole().ignores_ranges().chunked(),
    ];
    for answer in answers {
        let origin = origin(move |seen| match seen.turn {
            0 => answer().cut_after(1_500_000),
            _ => answer(),
        });
        let id = locate(node, &origin);
        assert!(origin.content.all() == node.download(&id).expect(200).body);
    }
}

#[test]
fn object_without_a_strong_version_is_not_resumed() {
    let node = open_node();
    let origin = origin(|seen| match seen.turn {
        0 => Answer::whole().etag("W/\"1\"").cut_after(1_500_000),
        _ => Answer::whole().etag("W/\"1\""),
    });
    let id = locate(node, &origin);
    assert!(try_download(node, &id).is_err());
}

#[test]
fn object_of_another_length_fails() {
    let node = open_node();
    for claimed in [SIZE_BYTES - 1, SIZE_BYTES + 1, 1 << 50] {
        let origin = origin(move |_| Answer::whole().claims_length(claimed));
        let id = locate(node, &origin);
        node.download(&id).expect(500);
        assert_eq!(copy(node, &origin).1, "killed");
    }
}

#[test]
fn short_body_fails() {
    let node = open_node();
    let origin = Origin::start(Content::new(5, SIZE_BYTES), |_| {
        Answer::whole().claims_length(SIZE_BYTES + 1000)
    });
    let id = locate(node, &origin);
    assert!(try_download(node, &id).is_err());
    assert_eq!(copy(node, &origin).1, "killed");
}

/// The length that HEAD states is compared with the bytes of a GET without a length.
#[test]
fn responses_without_a_length_are_counted() {
    let node = open_node();
    let unmeasured: [fn() -> Answer; 2] = [
        || Answer::whole().chunked(),
        || Answer::whole().until_close(),
    ];
    for answer in unmeasured {
        let origin = origin(move |_| answer());
        let id = locate(node, &origin);
        assert!(origin.content.all() == node.download(&id).expect(200).body);
        let range = Request::get(&image_path(&id)).header("Range", "bytes=1999000-");
        assert!(
            origin
                .content
                .has(1_999_000, &node.request(&range).expect(206).body)
        );
        let (copied, end) = copy(node, &origin);
        assert_eq!(end, "active");
        assert!(origin.content.all() == node.download(&copied).expect(200).body);
    }
    for wrong in [SIZE_BYTES - 1, SIZE_BYTES + 1] {
        for answer in unmeasured {
            let content = Content::new(5, SIZE_BYTES);
            let origin = Origin::start(content, move |seen| match seen.method.as_str() {
                "HEAD" => Answer::whole().claims_length(wrong),
                _ => answer(),
            });
            let id = locate(node, &origin);
            assert!(try_download(node, &id).is_err(), "{wrong}");
            assert_eq!(copy(node, &origin).1, "killed");
        }
    }
}

#[test]
fn source_of_unknown_length_is_refused() {
    let node = open_node();
    let unmeasured: [fn() -> Answer; 3] = [
        || Answer::whole().chunked(),
        || Answer::whole().until_close(),
        || Answer::whole().chunked().endless(),
    ];
    for answer in unmeasured {
        let origin = Origin::start(Content::new(5, SIZE_BYTES), move |_| {
            answer().ignores_ranges()
        });
        for header in [LOCATION, COPY_FROM] {
            let request = from(header, &origin.url("/i"));
            node.request(&request).expect(404);
        }
    }
    let endless = origin(|_| Answer::whole().chunked().endless().ignores_ranges());
    let id = locate(node, &endless);
    assert!(try_download(node, &id).is_err());
    assert_eq!(copy(node, &endless).1, "killed");
}

#[test]
fn endless_body_is_cut_at_its_length() {
    let node = open_setup().option("image_size_cap", SIZE_BYTES).start();
    let origin = origin(|_| Answer::whole().endless());
    let (id, end) = copy(&node, &origin);
    // Reading stops at the announced length.
    assert_eq!(end, "active");
    assert!(origin.content.all() == node.download(&id).expect(200).body);
    let liar = Origin::start(Content::new(5, SIZE_BYTES), |seen| {
        match seen.method.as_str() {
            "HEAD" => Answer::whole(),
            _ => Answer::whole().claims_length(1 << 40).endless(),
        }
    });
    assert_eq!(copy(&node, &liar).1, "killed");
}

#[test]
fn encoded_content_is_refused() {
    let node = open_node();
    let origin = origin(|_| Answer::whole().gzip());
    let id = locate(node, &origin);
    node.download(&id).expect(500);
    assert_eq!(copy(node, &origin).1, "killed");
    let always = Origin::start(Content::new(5, SIZE_BYTES), |_| Answer::whole().gzip());
    let request = from(COPY_FROM, &always.url("/i"));
    node.request(&request).expect(404);
}

#[test]
fn silence_ends_the_transfer() {
    let node = open_node();
    let origin = origin(|_| Answer::whole().hang_after(1_000_000));
    let began = Instant::now();
    let id = locate(node, &origin);
    assert!(try_download(node, &id).is_err());
    assert_eq!(copy(node, &origin).1, "killed");
    assert!(began.elapsed() < Duration::from_secs(40), "{began:?}");
}

#[test]
fn silent_server_times_out() {
    let node = open_setup()
        .option_in("glance_store", "http_store_answer_timeout", 1)
        .start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", silent.local_addr().expect("a port"));
    let began = Instant::now();
    for header in [LOCATION, COPY_FROM] {
        node.request(&from(header, &url)).expect(404);
    }
    assert!(began.elapsed() < Duration::from_secs(25));
}

/// A byte now and then is not a stall, but too slow to copy an image.
#[test]
fn copy_below_the_minimum_rate_fails() {
    let node = open_node();
    let origin = origin(|_| Answer::whole().slowly(1, Duration::from_millis(500)));
    let id = id_of(
        &node
            .request(&from(COPY_FROM, &origin.url("/i")))
            .expect(201),
    );
    let deadline = Instant::now() + Duration::from_secs(45);
    while node.status_of(&id) != "killed" {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(200));
    }
    node.await_nothing_stored(&id);
}

#[test]
fn redirects_are_followed_only_by_option() {
    let target = super::honest(SIZE_BYTES);
    let url = target.url("/there");
    let to = url.clone();
    let pointer = Origin::start(Content::new(1, 1), move |_| Answer::redirect(&to));
    for header in [LOCATION, COPY_FROM] {
        let request = from(header, &pointer.url("/i"));
        open_node().request(&request).expect(404);
    }
    assert!(target.seen().is_empty());
    let node = open_setup()
        .option_in("glance_store", "http_store_max_redirects", 2)
        .start();
    let id = locate(&node, &pointer);
    assert!(target.content.all() == node.download(&id).expect(200).body);
    // Loops, and redirects to forbidden URLs.
    for to in ["/again", "file:///etc/passwd", "gopher://127.0.0.1/", ""] {
        let to = to.to_owned();
        let pointer = Origin::start(Content::new(1, 1), move |_| Answer::redirect(&to));
        let request = from(LOCATION, &pointer.url("/i"));
        node.request(&request).expect(404);
    }
}

#[test]
fn ranges_of_a_source_without_range_support_are_cut_out() {
    let node = open_node();
    let origin = origin(|_| Answer::whole().ignores_ranges());
    let id = locate(node, &origin);
    let range = |range| Request::get(&image_path(&id)).header("Range", range);
    let got = node.request(&range("bytes=0-999")).expect(206);
    assert!(origin.content.has(0, &got.body) && got.body.len() == 1000);
    for (text, from, len) in [
        ("bytes=1000-1999", 1000, 1000),
        ("bytes=1500000-", 1_500_000, 500_000),
        ("bytes=-1", SIZE_BYTES - 1, 1),
    ] {
        let got = node.request(&range(text)).expect(206);
        assert!(origin.content.has(from, &got.body) && got.body.len() == len);
    }
    assert!(origin.content.all() == node.download(&id).expect(200).body);
    // If more would have to be discarded than is allowed, the whole image is sent.
    let node = open_setup()
        .store_option("http_store_max_discard", 1)
        .start();
    let id = locate(&node, &origin);
    let range = |range| Request::get(&image_path(&id)).header("Range", range);
    let got = node.request(&range("bytes=1048576-1048579")).expect(206);
    assert!(origin.content.has(1_048_576, &got.body) && got.body.len() == 4);
    let got = node.request(&range("bytes=1048577-1048579")).expect(200);
    assert!(origin.content.all() == got.body);
    assert_eq!(got.header("content-range"), None);
}

#[test]
fn missing_and_unreachable_sources_are_reported() {
    let node = open_node();
    for (status, answer) in [(404, 404), (410, 404), (403, 503), (500, 503), (503, 503)] {
        let origin = origin(move |_| Answer::status(status));
        let id = locate(node, &origin);
        node.download(&id).expect(answer);
    }
    let origin = super::honest(10);
    let id = locate(node, &origin);
    drop(origin);
    node.download(&id).expect(503);
}

#[test]
fn copy_with_a_wrong_checksum_is_killed() {
    let node = open_node();
    let origin = origin(|_| Answer::whole().wrong_at(1_000_000));
    let sum = origin.content.md5_hex();
    let stated = [("x-image-meta-checksum", sum.as_str())];
    let request = from_with(COPY_FROM, &origin.url("/i"), &stated);
    let id = id_of(&node.request(&request).expect(201));
    assert_eq!(end_of_copy(node, &id), "killed");
    node.await_nothing_stored(&id);
}

/// A client never receives a complete image with wrong bytes.
#[test]
fn wrong_bytes_are_detected_before_the_last_is_sent() {
    let node = open_node();
    for place in [0, 1_000_000, SIZE_BYTES - 1] {
        let origin = origin(move |_| Answer::whole().wrong_at(place));
        let sum = origin.content.md5_hex();
        let stated = [("x-image-meta-checksum", sum.as_str())];
        let request = from_with(LOCATION, &origin.url("/i"), &stated);
        let id = id_of(&node.request(&request).expect(201));
        assert!(try_download(node, &id).is_err(), "{place}");
    }
    let metrics = node.connect_admin().request(&Request::get("/metrics"));
    let count = metrics.expect(200).text().lines().find_map(|line| {
        let rest = line.strip_prefix("glance_integrity_failures_total")?;
        rest.split_whitespace().last()?.parse::<f64>().ok()
    });
    assert!(count >= Some(3.0), "{count:?}");
}

/// Downloads that wait for an origin neither delay others nor use the CPU.
#[test]
fn downloads_waiting_for_an_origin_are_cheap() {
    const WAITING: usize = 50;
    let setup = open_setup().option_in("glance_store", "http_store_stall_timeout", 60);
    let node = setup.start();
    let hold = Hold::default();
    let holding = hold.clone();
    let origin = origin(move |_| Answer::whole().hold_after(SIZE_BYTES / 2, &holding));
    let id = locate(&node, &origin);
    std::thread::scope(|scope| {
        let downloads: Vec<_> = (0..WAITING)
            .map(|_| scope.spawn(|| try_download(&node, &id)))
            .collect();
        within(Duration::from_secs(20), "all are under way", || {
            origin.open_connections() >= WAITING
        });
        std::thread::sleep(Duration::from_millis(300));
        assert_idle(node.pid());
        hold.release();
        for download in downloads {
            let got = download.join().expect("a download").expect("an answer");
            assert!(got.expect(200).body == origin.content.all());
        }
    });
}
