//! Uploads: framing, refusals before and during the transfer, failing sources, checksums.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use glance::client::{Client, ClientError, ConnectOptions, GlanceEndpoint, Upload};
use glance::image::{Change, Fields};

use crate::peer::{Peer, Step, Then, json, step};
use crate::{ID, block_on, md5};

fn client(peer: &Peer) -> Client {
    Client::new(peer.url().as_str()).unwrap()
}

fn client_with_limit(peer: &Peer, limit: Duration) -> Client {
    let options = ConnectOptions {
        connect_timeout: limit,
        progress_timeout: limit,
        ..ConnectOptions::default()
    };
    Client::with_options(GlanceEndpoint::new("127.0.0.1", peer.port), &options).unwrap()
}

fn fields() -> Fields {
    Fields {
        name: Change::Set("München".to_owned()),
        ..Fields::default()
    }
}

fn created(data: &[u8]) -> Step {
    let checksum = md5(data);
    let body = format!(r#"{{"image":{{"id":"{ID}","checksum":"{checksum}"}}}}"#);
    json("201 Created", &body)
}

/// A reader without an end that counts the bytes read from it.
struct Endless(Arc<AtomicU64>);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(7);
        self.0.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(buffer.len())
    }
}

#[test]
fn known_length_is_announced() {
    let data = vec![3; 1_000_000];
    let peer = Peer::start(vec![created(&data)]);
    let upload = Upload::from_reader(io::Cursor::new(data.clone()), Some(1_000_000));
    let image = block_on(client(&peer).add_image(&fields(), Some(upload))).unwrap();
    assert_eq!(image.id, ID);
    let seen = &peer.seen()[0];
    assert_eq!(seen.header("content-length"), Some("1000000"));
    assert_eq!(seen.header("transfer-encoding"), None);
    assert_eq!(seen.header("expect"), Some("100-continue"));
    assert_eq!(
        seen.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(seen.header("x-image-meta-size"), Some("1000000"));
    assert_eq!(seen.header("x-image-meta-name"), Some("München"));
    assert!(seen.body == data);
}

#[test]
fn unknown_length_and_empty_data_are_sent_chunked() {
    let data = vec![5; 700_000];
    let peer = Peer::start(vec![created(&data), created(b"")]);
    let client = client(&peer);
    block_on(async {
        let upload = Upload::from_async_reader(io::Cursor::new(data.clone()), None);
        client.add_image(&fields(), Some(upload)).await.unwrap();
        let upload = Upload::from_bytes("");
        client
            .update_image(ID, &fields(), false, Some(upload))
            .await
            .unwrap();
    });
    let seen = peer.seen();
    assert!(seen[0].body == data);
    for seen in &seen {
        assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
        assert_eq!(seen.header("content-length"), None);
    }
    assert_eq!(seen[0].header("x-image-meta-size"), None);
    assert_eq!(seen[1].header("x-image-meta-size"), Some("0"));
    assert_eq!(
        seen[1].header("x-glance-registry-purge-props"),
        Some("false")
    );
}

#[test]
fn refusal_before_the_transfer_reads_no_data() {
    let refusing = step(|exchange| {
        let words = br#"{"message":"Denying attempt to upload image larger than 10 bytes."}"#;
        exchange.answer("413 Payload Too Large", &[], words);
        Then::Close
    });
    let peer = Peer::start(vec![refusing]);
    let taken = Arc::new(AtomicU64::new(0));
    let upload = Upload::from_reader(Endless(taken.clone()), Some(1 << 40));
    let error = block_on(client(&peer).add_image(&fields(), Some(upload))).unwrap_err();
    assert!(matches!(&error, ClientError::Status { code, .. } if code.as_u16() == 413));
    assert!(error.to_string().contains("larger than 10 bytes"));
    assert_eq!(taken.load(Ordering::Relaxed), 0);
}

#[test]
fn refusal_during_the_transfer_is_read_though_the_server_closes() {
    for round in 0..10 {
        let refusing = step(|exchange| {
            exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n");
            let mut some = vec![0; 300_000];
            exchange.stream.read_exact(&mut some).unwrap();
            let words = br#"{"message":"deleted meanwhile"}"#;
            exchange.answer("409 Conflict", &[("connection", "close")], words);
            // Unread bytes make the kernel reset the connection.
            Then::Close
        });
        let peer = Peer::start(vec![refusing]);
        let upload = Upload::from_reader(Endless(Arc::default()), Some(1 << 40));
        let error = block_on(client(&peer).add_image(&fields(), Some(upload))).unwrap_err();
        assert!(
            matches!(&error, ClientError::Conflict { message } if message == "deleted meanwhile"),
            "round {round}: {error:?}"
        );
    }
}

#[test]
fn data_are_sent_to_a_server_that_never_asks_for_them() {
    let body = format!(r#"{{"image":{{"id":"{ID}"}}}}"#);
    let unasking = step(move |exchange| {
        exchange.read_body_unasked();
        exchange.answer("201 Created", &[], body.as_bytes());
        Then::Keep
    });
    let peer = Peer::start(vec![unasking]);
    let started = Instant::now();
    let upload = Upload::from_bytes("data");
    block_on(client(&peer).add_image(&fields(), Some(upload))).unwrap();
    assert_eq!(peer.seen()[0].body, b"data");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn wrong_checksum_of_the_server_is_an_error() {
    let peer = Peer::start(vec![created(b"other data")]);
    let upload = Upload::from_bytes("data");
    let error = block_on(client(&peer).add_image(&fields(), Some(upload))).unwrap_err();
    assert!(
        matches!(&error, ClientError::ChecksumMismatch { actual, .. } if *actual == md5(b"data")),
        "{error:?}"
    );
}

#[test]
fn slow_source_does_not_count_as_silence_of_the_server() {
    struct Slow(u32);
    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            std::thread::sleep(Duration::from_millis(700));
            self.0 += 1;
            buffer[0] = b'x';
            Ok(usize::from(self.0 < 4))
        }
    }
    let peer = Peer::start(vec![created(b"xxx")]);
    let limit = Duration::from_millis(400);
    let client = client_with_limit(&peer, limit);
    let upload = Upload::from_reader(Slow(0), None);
    block_on(client.add_image(&fields(), Some(upload))).unwrap();
    assert_eq!(peer.seen()[0].body, b"xxx");
}

#[test]
fn failure_of_the_source_is_reported() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("bad sector"))
        }
    }
    let peer = Peer::start(vec![created(b"")]);
    let upload = Upload::from_reader(Broken, Some(10));
    let error = block_on(client(&peer).add_image(&fields(), Some(upload))).unwrap_err();
    assert!(matches!(error, ClientError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("bad sector"));
}

#[test]
fn reservation_has_no_body() {
    let peer = Peer::start(vec![json(
        "201 Created",
        &format!(r#"{{"image":{{"id":"{ID}","status":"queued"}}}}"#),
    )]);
    let image = block_on(client(&peer).add_image(&fields(), None)).unwrap();
    assert_eq!(image.status.as_deref(), Some("queued"));
    let seen = &peer.seen()[0];
    assert_eq!(seen.header("transfer-encoding"), None);
    assert!(matches!(seen.header("content-length"), None | Some("0")));
    assert_eq!(seen.header("expect"), None);
}
