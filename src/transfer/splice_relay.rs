//! Passing an origin's bytes on to a client's socket.
//!
//! Where they stand in a plain socket, the kernel moves them through a pipe (splice), and a
//! second pipe that shares their pages (tee) feeds the hash where there is a digest to be
//! checked. Where they come in memory, or no pipe can hold them, they are sent from memory.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::Interest;

use super::pipe;
use super::pipe_pool::{PIPES, PipePool, PooledPipe};
use super::range_reader::{RangeChunk, RangeReader};
use super::{BLOCK_BYTES, BlockPool};
use crate::error::{Error, Result};

/// Blocks that wait to be used again by the checks of all threads: as much as all streams
/// together may have at the hash.
const IDLE_BLOCKS: usize = 128;

/// Most bytes that go through a pipe at a time: what the largest pipe holds of whole pages.
const PIECE_BYTES: usize = 1024 * 1024;

/// Most bytes that go through memory at a time. A slow reader keeps them, and readers without a
/// pipe are many.
const MEMORY_PIECE_BYTES: usize = 64 * 1024;

/// An object on its way from its origin to one socket.
#[derive(Debug)]
pub struct SpliceRelay {
    state: State,
    left: u64,
}

#[derive(Debug)]
enum State {
    /// Something may be at hand, or have come.
    Holding(Box<Source>),
    /// More is being waited for, or taken off the socket.
    Busy(Busy),
    /// It failed.
    Broken,
}

struct Busy(Pin<Box<dyn Future<Output = Done>>>);

/// The source comes back, whether it got something or not.
type Done = (Box<Source>, Result<()>);

/// The origin, and what of its bytes is at hand.
#[derive(Debug)]
struct Source {
    remote: RangeReader,
    memory: Bytes,
    /// Held only while there are bytes in it.
    pipe: Option<PooledPipe>,
    pipes: &'static PipePool,
    /// Whether the bytes at hand, or those sent last, stood in a socket.
    came_by_socket: bool,
    /// Whether bytes were seen in the origin's socket that are not taken off it yet.
    has_arrived: bool,
}

impl SpliceRelay {
    /// Passes on what is left of an object.
    pub fn new(remote: RangeReader) -> Self {
        Self::through(remote, &PIPES)
    }

    fn through(remote: RangeReader, pipes: &'static PipePool) -> Self {
        Self {
            left: remote.left(),
            state: State::Holding(Box::new(Source {
                remote,
                memory: Bytes::new(),
                pipe: None,
                pipes,
                came_by_socket: false,
                has_arrived: false,
            })),
        }
    }

    /// Bytes that have not been sent yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether all bytes that had come through a socket are sent, and others are missing. Other
    /// connections should have their turn then: bytes that come meanwhile make the next piece
    /// larger, and the cost is that of pieces. Where many objects are checked, each of them
    /// brings its hash a piece in turn, so that they are hashed side by side.
    pub fn is_drained(&self) -> bool {
        match &self.state {
            State::Holding(source) => {
                self.left > 0 && source.came_by_socket && source.held_bytes() == 0
            }
            State::Busy(_) | State::Broken => false,
        }
    }

    /// Waits until the origin has sent something, which is not yet taken off its socket: whoever
    /// has only to wait needs no turn for it.
    ///
    /// # Errors
    /// Those of the origin; the rest of the object will never come.
    pub fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let is_there = |source: &Source| source.held_bytes() > 0 || source.has_arrived;
        self.poll_until(cx, is_there, |source| Box::pin(source.arrived()))
    }

    /// Waits until there is something to send.
    ///
    /// # Errors
    /// Those of the origin; the rest of the object will never come.
    pub fn poll_filled(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let is_there = |source: &Source| source.held_bytes() > 0;
        self.poll_until(cx, is_there, |source| Box::pin(source.filled()))
    }

    fn poll_until(
        &mut self,
        cx: &mut Context<'_>,
        is_there: impl Fn(&Source) -> bool,
        work: impl Fn(Box<Source>) -> Pin<Box<dyn Future<Output = Done>>>,
    ) -> Poll<Result<()>> {
        loop {
            match std::mem::replace(&mut self.state, State::Broken) {
                State::Holding(source) if is_there(&source) => {
                    self.state = State::Holding(source);
                    return Poll::Ready(Ok(()));
                }
                State::Holding(source) => {
                    self.state = State::Busy(Busy(work(source)));
                }
                State::Busy(mut busy) => {
                    let Poll::Ready((source, done)) = busy.0.as_mut().poll(cx) else {
                        self.state = State::Busy(busy);
                        return Poll::Pending;
                    };
                    done?;
                    self.state = State::Holding(source);
                }
                State::Broken => {
                    let broken = Error::internal("this object's origin failed before");
                    return Poll::Ready(Err(broken));
                }
            }
        }
    }

    /// Sends what is at hand, at most so many bytes.
    ///
    /// # Errors
    /// Those of the socket, and `WouldBlock` where nothing is at hand.
    pub fn send(&mut self, to: RawFd, most_bytes: usize) -> io::Result<usize> {
        let State::Holding(source) = &mut self.state else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let sent = source.send(to, most_bytes)?;
        self.left = self.left.saturating_sub(sent as u64);
        Ok(sent)
    }
}

impl Source {
    fn held_bytes(&self) -> usize {
        let piped = self.pipe.as_ref();
        self.memory.len() + piped.map_or(0, |pooled| pooled.pipe.held_bytes())
    }

    fn send(&mut self, to: RawFd, most_bytes: usize) -> io::Result<usize> {
        if !self.memory.is_empty() {
            let sent = pipe::send(to, &self.memory, most_bytes)?;
            self.memory.advance(sent);
            return Ok(sent);
        }
        let more_follows = self.remote.left() > 0;
        let Some(mut pooled) = self.pipe.take() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let sent = pooled.pipe.splice_out(to, most_bytes, more_follows);
        if pooled.pipe.held_bytes() > 0 {
            self.pipe = Some(pooled);
        } else {
            self.pipes.put_back(pooled);
        }
        sent
    }

    async fn arrived(mut self: Box<Self>) -> Done {
        let arrived = self.arrive().await;
        (self, arrived)
    }

    async fn filled(mut self: Box<Self>) -> Done {
        let filled = self.fill().await;
        (self, filled)
    }

    /// Waits for the origin. What comes in memory is at hand then.
    async fn arrive(&mut self) -> Result<()> {
        match self.remote.next_chunk().await? {
            None => Err(Error::internal("nothing is left to be sent")),
            Some(RangeChunk::Memory(bytes)) => {
                self.came_by_socket = false;
                self.remote.hash(bytes.clone()).await;
                self.memory = bytes;
                self.remote.verify_end().await
            }
            Some(RangeChunk::Readable(_)) => {
                self.has_arrived = true;
                Ok(())
            }
        }
    }

    /// Takes the next bytes from the origin; the last only if they complete the right object.
    async fn fill(&mut self) -> Result<()> {
        while self.held_bytes() == 0 {
            self.arrive().await?;
            if std::mem::take(&mut self.has_arrived) {
                self.draw().await?;
            }
        }
        Ok(())
    }

    /// Takes bytes off the origin's socket: into a pipe if there is one, else into memory.
    async fn draw(&mut self) -> Result<()> {
        self.came_by_socket = true;
        let Some(pooled) = self.pipe.take().or_else(|| self.pipes.take()) else {
            let next = self.remote.next_at_most(MEMORY_PIECE_BYTES).await?;
            self.memory = next.unwrap_or_default();
            return Ok(());
        };
        self.draw_into(pooled).await?;
        if self.remote.has_digest() && self.held_bytes() > 0 {
            self.hash_piped().await?;
        }
        if self.held_bytes() > 0 {
            self.remote.verify_end().await?;
        }
        Ok(())
    }

    async fn draw_into(&mut self, mut pooled: PooledPipe) -> Result<()> {
        let Some(stream) = self.remote.socket() else {
            self.pipes.put_back(pooled);
            return Ok(());
        };
        let piece_bytes = match self.remote.has_digest() {
            true => BLOCK_BYTES,
            false => PIECE_BYTES,
        };
        let left = usize::try_from(self.remote.left()).unwrap_or(usize::MAX);
        let from = stream.as_raw_fd();
        let draw = || pooled.pipe.splice_in(from, left.min(piece_bytes));
        let drawn = stream.try_io(Interest::READABLE, draw);
        match pooled.pipe.held_bytes() {
            0 => self.pipes.put_back(pooled),
            _ => self.pipe = Some(pooled),
        }
        match drawn {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            drawn => self.remote.consumed(drawn).await,
        }
    }

    /// Shows the hash the bytes in the pipe. The second pipe is needed for no longer than it
    /// takes to read it.
    async fn hash_piped(&mut self) -> Result<()> {
        let Some(pooled) = self.pipe.take() else {
            return Ok(());
        };
        let mut copy = self.pipes.take();
        let held_bytes = pooled.pipe.held_bytes();
        let shared_bytes = copy
            .as_mut()
            .and_then(|copy| pooled.pipe.tee_into(&mut copy.pipe).ok());
        match copy {
            Some(copy) if shared_bytes == Some(held_bytes) => {
                self.pipe = Some(pooled);
                let bytes = self.read_out(copy)?;
                self.remote.hash(bytes).await;
            }
            // The second pipe has fewer pages, or there is none: these bytes go on through
            // memory.
            _ => {
                self.memory = self.read_out(pooled)?;
                self.remote.hash(self.memory.clone()).await;
            }
        }
        Ok(())
    }

    /// Empties a pipe into one block, which has room for all that is drawn at a time.
    fn read_out(&self, mut pooled: PooledPipe) -> Result<Bytes> {
        let mut block = BLOCKS.take();
        while pooled.pipe.held_bytes() > 0 && !block.is_full() {
            let read = pooled.pipe.read_into(&mut block);
            read.map_err(Error::internal)?;
        }
        self.pipes.put_back(pooled);
        Ok(block.freeze())
    }
}

static BLOCKS: LazyLock<BlockPool> = LazyLock::new(|| BlockPool::new(IDLE_BLOCKS));

impl std::fmt::Debug for Busy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Busy")
    }
}

#[cfg(test)]
mod tests {
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

    /// An origin on a plain socket, and one whose library hands out frames, in turns; each
    /// answer but the last breaks off early.
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

    /// Relays to a socket whose other end is read to its end; what arrived there.
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
        while relay.left() > 0 && result.is_ok() {
            result = poll_fn(|cx| relay.poll_filled(cx)).await;
            if result.is_ok() {
                out.writable().await.unwrap();
                let _ = out.try_io(Interest::WRITABLE, || relay.send(out.as_raw_fd(), 1 << 20));
            }
        }
        drop(out);
        (reading.await.unwrap(), result)
    }

    async fn remote(frames: bool) -> RangeReader {
        let origin = Box::new(Flaky::start(frames));
        RangeReader::open(origin, 0, LEN as u64).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_cut_goes_on_where_it_ended() {
        for frames in [false, true] {
            let (arrived, result) = relayed(remote(frames).await).await;
            result.unwrap();
            assert!(arrived == data());
        }
    }

    #[tokio::test]
    async fn the_right_digest_lets_everything_through() {
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

    /// With no pipe at all, with one and none for the hash, and with small ones.
    #[tokio::test]
    async fn few_and_small_pipes_change_nothing() {
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
    async fn nobody_gets_the_whole_of_a_wrong_object() {
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
    async fn bytes_in_memory_are_checked_alike() {
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
}
