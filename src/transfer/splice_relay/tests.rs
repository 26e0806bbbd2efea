use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};

use async_trait::async_trait;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};

use super::*;
use crate::md5::{HashEngine, Md5};
use crate::transfer::{RangeBody, RangeSource, SocketBody};

/// A source that alternates between a plain socket and a body in memory. Each response but the last
/// is cut.
struct Flaky {
    address: SocketAddr,
    answers: u32,
    frames: bool,
}

const LEN: usize = 5_000_000;
const CUT: usize = 1_700_001;

fn pattern(position: usize) -> u8 {
    (position / 3 % 251) as u8
}

fn data() -> Vec<u8> {
    (0..LEN).map(pattern).collect()
}

impl Flaky {
    fn start(frames: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let data = data();
            for (number, stream) in listener.incoming().enumerate().take(3) {
                let from = number * CUT;
                let to = (from + CUT).min(LEN);
                let _ = stream.unwrap().write_all(&data[from..to]);
            }
        });
        Self {
            address,
            answers: 0,
            frames,
        }
    }
}

#[async_trait(?Send)]
impl RangeSource for Flaky {
    async fn open(&mut self, offset: u64, len: u64) -> Result<RangeBody> {
        assert_eq!(offset, u64::from(self.answers) * CUT as u64);
        self.answers += 1;
        let stream = TcpStream::connect(self.address).await.unwrap();
        if self.frames && self.answers == 2 {
            let from = offset as usize;
            let bytes: Vec<u8> = (from..from + CUT).map(pattern).collect();
            let frames = http_body_util::Full::new(Bytes::from(bytes));
            let frames = http_body_util::BodyExt::map_err(frames, |never| match never {});
            return Ok(RangeBody::Stream(http_body_util::BodyExt::boxed_unsync(
                frames,
            )));
        }
        Ok(RangeBody::Socket(SocketBody {
            first: VecDeque::new(),
            stream,
            left: len,
        }))
    }
}

/// Relays to a socket. Returns the bytes that arrived at its other end, and the result.
async fn relayed(remote: RangeReader) -> (Vec<u8>, Result<()>) {
    relayed_by(SpliceRelay::new(remote)).await
}

async fn relayed_by(mut relay: SpliceRelay) -> (Vec<u8>, Result<()>) {
    let (out, mut into) = UnixStream::pair().unwrap();
    let reading = tokio::spawn(async move {
        let mut arrived = Vec::new();
        into.read_to_end(&mut arrived).await.unwrap();
        arrived
    });
    let mut result = Ok(());
    while relay.left_bytes() > 0 && result.is_ok() {
        result = poll_fn(|cx| relay.poll_filled(cx)).await;
        if result.is_ok() {
            out.writable().await.unwrap();
            let _ = out.try_io(Interest::WRITABLE, || relay.send(out.as_fd(), 1 << 20));
        }
    }
    drop(out);
    (reading.await.unwrap(), result)
}

async fn remote(frames: bool) -> RangeReader {
    let source = Box::new(Flaky::start(frames));
    RangeReader::open(source, 0, LEN as u64).await.unwrap()
}

#[tokio::test]
async fn cut_connection_is_resumed() {
    for frames in [false, true] {
        let (arrived, result) = relayed(remote(frames).await).await;
        result.unwrap();
        assert!(arrived == data());
    }
}

#[tokio::test]
async fn right_digest_passes_all_bytes() {
    let engine = HashEngine::start(1).unwrap();
    let mut md5 = Md5::new();
    md5.update(&data());
    let digest = md5.finalize();
    for frames in [false, true] {
        let remote = remote(frames).await.with_digest(engine.stream(), digest);
        let (arrived, result) = relayed(remote).await;
        result.unwrap();
        assert!(arrived == data());
    }
}

/// Without any pipe, with one and none for the hash, and with small pipes.
#[tokio::test]
async fn relay_works_with_few_and_small_pipes() {
    let engine = HashEngine::start(1).unwrap();
    let mut md5 = Md5::new();
    md5.update(&data());
    let digest = md5.finalize();
    for (most_pages, most_pipes) in [(0, 0), (1024, 1), (32, 100), (20, 100)] {
        let pipes: &PipePool = Box::leak(Box::new(PipePool::new(most_pages, most_pipes)));
        for has_digest in [false, true] {
            let remote = remote(false).await;
            let remote = match has_digest {
                true => remote.with_digest(engine.stream(), digest),
                false => remote,
            };
            let (arrived, result) = relayed_by(SpliceRelay::through(remote, pipes)).await;
            result.unwrap();
            assert!(arrived == data(), "{most_pages} pages, {most_pipes} pipes");
        }
    }
}

#[tokio::test]
async fn wrong_digest_withholds_the_last_bytes() {
    let engine = HashEngine::start(1).unwrap();
    for frames in [false, true] {
        let remote = remote(frames).await.with_digest(engine.stream(), [7; 16]);
        let (arrived, result) = relayed(remote).await;
        assert!(result.is_err());
        assert!(arrived.len() < LEN, "{}", arrived.len());
        assert!(arrived == data()[..arrived.len()]);
    }
}

#[tokio::test]
async fn digest_of_bytes_in_memory_is_verified() {
    let engine = HashEngine::start(1).unwrap();
    let mut remote = remote(true).await.with_digest(engine.stream(), [7; 16]);
    let mut arrived = 0;
    let result = loop {
        match remote.next().await {
            Ok(Some(bytes)) => arrived += bytes.len(),
            other => break other,
        }
    };
    assert!(result.is_err());
    assert!(arrived < LEN);
}
