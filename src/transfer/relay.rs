//! Passing an origin's bytes on to a client's socket.
//!
//! Where they stand in a plain socket, the kernel moves them through a pipe (splice), and a
//! second pipe that shares their pages (tee) feeds the hash where there is a digest to be
//! checked. Where they come in memory, they are sent from there.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::Interest;

use super::pipe::{self, PIPE_BYTES, Pipe};
use super::remote::{Arrived, Remote};
use super::{BLOCK_BYTES, BlockPool};
use crate::error::{Error, Result};

/// Blocks that wait to be used again by the checks of all threads: as much as all streams
/// together may have at the hash.
const IDLE_BLOCKS: usize = 128;

/// An object on its way from its origin to one socket.
#[derive(Debug)]
pub struct Relay {
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
    remote: Remote,
    memory: Bytes,
    pipe: Option<Pipe>,
    /// Whether bytes were seen in the origin's socket that are not taken off it yet.
    has_arrived: bool,
}

impl Relay {
    /// Passes on what is left of an object.
    pub fn new(remote: Remote) -> Self {
        Self {
            left: remote.left(),
            state: State::Holding(Box::new(Source {
                remote,
                memory: Bytes::new(),
                pipe: None,
                has_arrived: false,
            })),
        }
    }

    /// Bytes that have not been sent yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether all that had come through a socket is sent, and not all is. Others should have their turn
    /// then: what comes meanwhile makes the next piece larger, and pieces are what costs. And
    /// where many objects are checked, all of them bring their hash something instead of one
    /// after the other, so that they are hashed side by side.
    pub fn is_drained(&self) -> bool {
        match &self.state {
            State::Holding(source) => {
                self.left > 0 && source.pipe.is_some() && source.held_bytes() == 0
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
        self.memory.len() + self.pipe.as_ref().map_or(0, Pipe::held_bytes)
    }

    fn send(&mut self, to: RawFd, most_bytes: usize) -> io::Result<usize> {
        if !self.memory.is_empty() {
            let sent = pipe::send(to, &self.memory, most_bytes)?;
            self.memory.advance(sent);
            return Ok(sent);
        }
        let more_follows = self.remote.left() > 0;
        match &mut self.pipe {
            Some(pipe) => pipe.pour(to, most_bytes, more_follows),
            None => Err(io::ErrorKind::WouldBlock.into()),
        }
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
        match self.remote.arrived().await? {
            None => Err(Error::internal("nothing is left to be sent")),
            Some(Arrived::Memory(bytes)) => {
                self.remote.hash(bytes.clone()).await;
                self.memory = bytes;
                self.remote.seal().await
            }
            Some(Arrived::Readable(_)) => {
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

    /// Moves what stands in the origin's socket into the pipe.
    async fn draw(&mut self) -> Result<()> {
        let (left, is_checked) = (self.remote.left(), self.remote.is_checked());
        let Some(stream) = self.remote.socket() else {
            return Ok(());
        };
        let piece_bytes = match is_checked {
            true => BLOCK_BYTES,
            false => PIPE_BYTES,
        };
        let pipe = match &mut self.pipe {
            Some(pipe) => pipe,
            none => none.insert(Pipe::take().map_err(Error::internal)?),
        };
        let most_bytes = usize::try_from(left).map_or(piece_bytes, |left| left.min(piece_bytes));
        let from = stream.as_raw_fd();
        let drawn = stream.try_io(Interest::READABLE, || pipe.draw(from, most_bytes));
        match drawn {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            drawn => self.remote.taken(drawn).await?,
        }
        if is_checked && self.held_bytes() > 0 {
            self.hash_piped().await?;
        }
        if self.held_bytes() > 0 {
            self.remote.seal().await?;
        }
        Ok(())
    }

    /// Shows the hash what is in the pipe.
    async fn hash_piped(&mut self) -> Result<()> {
        let Some(pipe) = &self.pipe else {
            return Ok(());
        };
        let mut copy = Pipe::take().map_err(Error::internal)?;
        pipe.share_with(&mut copy).map_err(Error::internal)?;
        while copy.held_bytes() > 0 {
            let mut block = BLOCKS.take();
            while copy.held_bytes() > 0 && block.len() < BLOCK_BYTES {
                copy.read_into(&mut block).map_err(Error::internal)?;
            }
            self.remote.hash(block.freeze()).await;
        }
        Ok(())
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
    use crate::transfer::md5::{HashEngine, Md5};
    use crate::transfer::{Origin, Part, SocketPart};

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
    impl Origin for Flaky {
        async fn open(&mut self, offset: u64, len: u64) -> Result<Part> {
            assert_eq!(offset, u64::from(self.answers) * CUT as u64);
            self.answers += 1;
            let stream = TcpStream::connect(self.address).await.unwrap();
            if self.frames && self.answers == 2 {
                let from = offset as usize;
                let bytes: Vec<u8> = (from..from + CUT).map(pattern).collect();
                let frames = http_body_util::Full::new(Bytes::from(bytes));
                let frames = http_body_util::BodyExt::map_err(frames, |never| match never {});
                return Ok(Part::Frames(http_body_util::BodyExt::boxed_unsync(frames)));
            }
            Ok(Part::Socket(SocketPart {
                first: VecDeque::new(),
                stream,
                left: len,
            }))
        }
    }

    /// Relays to a socket whose other end is read to its end; what arrived there.
    async fn relayed(remote: Remote) -> (Vec<u8>, Result<()>) {
        let (out, mut into) = UnixStream::pair().unwrap();
        let reading = tokio::spawn(async move {
            let mut arrived = Vec::new();
            into.read_to_end(&mut arrived).await.unwrap();
            arrived
        });
        let mut relay = Relay::new(remote);
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

    async fn remote(frames: bool) -> Remote {
        let origin = Box::new(Flaky::start(frames));
        Remote::open(origin, 0, LEN as u64).await.unwrap()
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
