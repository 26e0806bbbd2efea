//! Downloads over connections that break, from servers without ranges, and of images that change.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use glance::client::{Client, ClientError, DownloadOptions, DownloadSummary};

use crate::peer::{Peer, Step, Then, answer, json, step};
use crate::{ID, block_on, md5};

struct DownloadFolder {
    folder: tempfile::TempDir,
}

impl DownloadFolder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("image.raw")
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("image.raw.part")
    }

    fn download(&self, peer: &Peer) -> Result<DownloadSummary, ClientError> {
        let client = Client::new(peer.url().as_str()).unwrap();
        let options = DownloadOptions {
            retries: 2,
            backoff: Duration::from_millis(10),
            ..DownloadOptions::default()
        };
        block_on(client.download_to_file(ID, &self.target(), &options))
    }
}

fn image() -> Vec<u8> {
    (0..1_000_000u32).map(|n| (n % 251) as u8).collect()
}

fn headers(data: &[u8]) -> Vec<(String, String)> {
    vec![
        ("etag".to_owned(), md5(data)),
        ("x-image-meta-id".to_owned(), ID.to_owned()),
        ("x-image-meta-checksum".to_owned(), md5(data)),
        ("x-image-meta-size".to_owned(), data.len().to_string()),
    ]
}

/// Sends a head that announces all bytes from `start` on, and the bytes up to `end`.
fn send(exchange: &mut crate::peer::Exchange, data: &[u8], start: usize, end: usize) {
    let mut all = headers(data);
    all.push((
        "content-length".to_owned(),
        (data.len() - start).to_string(),
    ));
    let mut status = "200 OK";
    if start > 0 {
        status = "206 Partial Content";
        let range = format!("bytes {start}-{}/{}", data.len() - 1, data.len());
        all.push(("content-range".to_owned(), range));
    }
    let all: Vec<(&str, &str)> = all.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    exchange.head(status, &all);
    exchange.send(&data[start..end]);
}

fn head(data: &[u8]) -> Step {
    let headers = headers(data);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
    answer("200 OK", &headers, "")
}

/// Serves ranges and closes the connection at byte `end` of the image.
fn serve_to(data: &[u8], end: usize) -> Step {
    let data = data.to_vec();
    step(move |exchange| {
        let range = exchange.seen.header("range").unwrap_or("bytes=0-");
        let start = range["bytes=".len()..].trim_end_matches('-').parse();
        send(exchange, &data, start.unwrap(), end);
        Then::Close
    })
}

/// Ignores ranges: serves the image from its start and closes the connection at byte `end`.
fn serve_whole_to(data: &[u8], end: usize) -> Step {
    let data = data.to_vec();
    step(move |exchange| {
        send(exchange, &data, 0, end);
        Then::Close
    })
}

#[test]
fn lost_connection_is_resumed_where_it_stopped() {
    let (place, data) = (DownloadFolder::new(), image());
    let peer = Peer::start(vec![
        head(&data),
        serve_to(&data, 300_000),
        serve_to(&data, 700_001),
        serve_to(&data, data.len()),
    ]);
    let done = place.download(&peer).unwrap();
    assert!(fs::read(place.target()).unwrap() == data);
    assert!(!place.part().exists());
    assert!(done.is_verified);
    assert_eq!((done.md5, done.resumed_from_bytes), (md5(&data), 0));
    let seen = peer.seen();
    assert_eq!(seen[1].header("range"), None);
    assert_eq!(seen[2].header("range"), Some("bytes=300000-"));
    assert_eq!(seen[3].header("range"), Some("bytes=700001-"));
    assert_eq!(seen[3].header("if-range"), Some(md5(&data).as_str()));
}

#[test]
fn earlier_download_is_resumed() {
    let (place, data) = (DownloadFolder::new(), image());
    fs::write(place.part(), &data[..400_000]).unwrap();
    let peer = Peer::start(vec![head(&data), serve_to(&data, data.len())]);
    let done = place.download(&peer).unwrap();
    assert!(fs::read(place.target()).unwrap() == data);
    assert_eq!(done.resumed_from_bytes, 400_000);
    assert_eq!(peer.seen()[1].header("range"), Some("bytes=400000-"));
}

#[test]
fn complete_partial_file_is_only_verified() {
    let (place, data) = (DownloadFolder::new(), image());
    fs::write(place.part(), &data).unwrap();
    let peer = Peer::start(vec![head(&data)]);
    place.download(&peer).unwrap();
    assert!(fs::read(place.target()).unwrap() == data);
}

#[test]
fn partial_file_of_another_image_is_discarded() {
    let (place, data) = (DownloadFolder::new(), image());
    for left in [vec![9; 400_000], vec![9; 1_000_000], vec![9; 1_000_001]] {
        let is_shorter = left.len() < data.len();
        fs::write(place.part(), left).unwrap();
        let mut steps = vec![head(&data)];
        if is_shorter {
            steps.push(serve_to(&data, data.len()));
        }
        steps.push(serve_to(&data, data.len()));
        let peer = Peer::start(steps);
        let done = place.download(&peer).unwrap();
        assert!(fs::read(place.target()).unwrap() == data);
        assert_eq!(done.resumed_from_bytes, 0);
        assert_eq!(peer.seen().last().unwrap().header("range"), None);
    }
}

#[test]
fn wrong_data_never_get_the_final_name() {
    let (place, data) = (DownloadFolder::new(), image());
    fs::write(place.target(), "what was here").unwrap();
    let mut flipped = data.clone();
    flipped[999_999] ^= 1;
    let headers = headers(&data);
    let corrupt = step(move |exchange| {
        let mut all: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        all.push(("content-length", "1000000"));
        exchange.head("200 OK", &all);
        exchange.send(&flipped);
        Then::Keep
    });
    let peer = Peer::start(vec![head(&data), corrupt]);
    let error = place.download(&peer).unwrap_err();
    assert!(matches!(error, ClientError::ChecksumMismatch { .. }));
    assert_eq!(fs::read(place.target()).unwrap(), b"what was here");
    assert!(!place.part().exists());
}

/// A server whose backend has no ranges fails with an error. The client requests the whole image
/// and skips the bytes that it has.
#[test]
fn whole_image_is_requested_after_a_failed_range() {
    let (place, data) = (DownloadFolder::new(), image());
    fs::write(place.part(), &data[..400_000]).unwrap();
    let peer = Peer::start(vec![
        head(&data),
        answer("503 Service Unavailable", &[("content-length", "0")], ""),
        serve_to(&data, data.len()),
    ]);
    place.download(&peer).unwrap();
    assert!(fs::read(place.target()).unwrap() == data);
    let seen = peer.seen();
    assert_eq!(seen[1].header("range"), Some("bytes=400000-"));
    assert_eq!(seen[2].header("range"), None);
}

#[test]
fn server_without_ranges_is_resumed_by_skipping() {
    let (place, data) = (DownloadFolder::new(), image());
    let peer = Peer::start(vec![
        head(&data),
        serve_whole_to(&data, 300_000),
        serve_whole_to(&data, 200_000),
        serve_whole_to(&data, data.len()),
    ]);
    place.download(&peer).unwrap();
    assert!(fs::read(place.target()).unwrap() == data);
}

#[test]
fn image_that_changes_during_the_download_is_read_from_its_start() {
    let (place, old) = (DownloadFolder::new(), vec![1; 1_000_000]);
    let data = image();
    let peer = Peer::start(vec![
        head(&old),
        serve_to(&old, 300_000),
        serve_whole_to(&data, data.len()),
    ]);
    place.download(&peer).unwrap();
    assert!(fs::read(place.target()).unwrap() == data);
}

#[test]
fn unsatisfiable_range_restarts_the_download() {
    let (place, data) = (DownloadFolder::new(), image());
    fs::write(place.part(), &data[..400_000]).unwrap();
    let peer = Peer::start(vec![
        head(&data),
        json("416 Range Not Satisfiable", "{}"),
        serve_to(&data, data.len()),
    ]);
    place.download(&peer).unwrap();
    assert!(fs::read(place.target()).unwrap() == data);
}

#[test]
fn retries_without_progress_end_and_the_partial_file_stays() {
    let (place, data) = (DownloadFolder::new(), image());
    let mut steps = vec![head(&data), serve_to(&data, 300_000)];
    steps.extend((0..3).map(|_| serve_to(&data, 300_000)));
    let peer = Peer::start(steps);
    let error = place.download(&peer).unwrap_err();
    assert!(
        matches!(error, ClientError::ShortBody { received_bytes, expected_bytes }
            if (received_bytes, expected_bytes) == (300_000, 1_000_000)),
        "{error:?}"
    );
    assert_eq!(fs::read(place.part()).unwrap().len(), 300_000);
    assert!(!place.target().exists());
    // HEAD, the first GET, and the two retries that the options allow.
    assert_eq!(peer.seen().len(), 4);
}

#[test]
fn failed_request_leaves_no_file() {
    let (place, data) = (DownloadFolder::new(), image());
    let not_active = r#"{"message":"Image x is not active"}"#;
    let peer = Peer::start(vec![head(&data), json("404 Not Found", not_active)]);
    let error = place.download(&peer).unwrap_err();
    assert_eq!(error.to_string(), "Image x is not active");
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 0);
}

#[test]
fn stream_is_resumed_but_never_restarted() {
    let data = image();
    let changed = vec![1; data.len()];
    let client = |peer: &Peer| Client::new(peer.url().as_str()).unwrap();
    let options = DownloadOptions {
        backoff: Duration::from_millis(10),
        ..DownloadOptions::default()
    };
    let peer = Peer::start(vec![
        head(&data),
        serve_to(&data, 300_000),
        serve_to(&data, data.len()),
    ]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let reading = std::thread::spawn(move || {
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut all).unwrap();
        all
    });
    block_on(client(&peer).download_to_writer(ID, writer, "pipe", &options)).unwrap();
    assert!(reading.join().unwrap() == data);

    let peer = Peer::start(vec![
        head(&data),
        serve_to(&data, 300_000),
        serve_whole_to(&changed, changed.len()),
    ]);
    let sink = std::io::sink();
    let error = block_on(client(&peer).download_to_writer(ID, sink, "stream", &options));
    assert!(error.unwrap_err().to_string().contains("--file"));
}

#[test]
fn image_without_a_checksum_is_reported_as_unverified() {
    let place = DownloadFolder::new();
    let peer = Peer::start(vec![
        answer("200 OK", &[("x-image-meta-size", "4")], ""),
        answer("200 OK", &[("x-image-meta-size", "4")], "data"),
    ]);
    let done = place.download(&peer).unwrap();
    assert!(!done.is_verified);
    assert_eq!(fs::read(place.target()).unwrap(), b"data");
}
