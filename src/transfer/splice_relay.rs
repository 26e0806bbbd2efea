//! Relays an object from another server's socket to a client's socket.
//!
//! Bytes in a plain socket move through a pipe with splice(2), without a copy. If a digest has
//! to be verified, tee(2) duplicates them into a second pipe, from which they are read for the
//! hash. Bytes that arrive in memory, or for which the pool has no pipe, are sent from memory.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
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

/// Most idle blocks for hashing, of all threads together: as much memory as all streams may have
/// queued for the hash.
const IDLE_BLOCKS: usize = 128;

/// Most bytes that move through a pipe at a time: the capacity of the largest pipe.
const PIECE_BYTES: usize = 1024 * 1024;

/// Most bytes that move through memory at a time. A slow client holds them, and there may be
/// many clients without a pipe.
const MEMORY_PIECE_BYTES: usize = 64 * 1024;

/// Relays one object to one socket.
#[derive(Debug)]
pub struct SpliceRelay {
    state: State,
    left: u64,
}

#[derive(Debug)]
enum State {
    /// No operation is running; there may be bytes to send.
    Idle(Box<Source>),
    /// An operation waits for the other server or fills the pipe.
    Busy(Operation),
    /// The other server failed.
    Failed,
}

struct Operation(Pin<Box<dyn Future<Output = Done>>>);

/// An operation owns the source while it runs and returns it with its result.
type Done = (Box<Source>, Result<()>);

/// The reader of the other server's bytes, and the bytes that can be sent.
#[derive(Debug)]
struct Source {
    remote: RangeReader,
    memory: Bytes,
    /// Held only while there are bytes in it, so that waiting relays keep no pipe.
    pipe: Option<PooledPipe>,
    pipes: &'static PipePool,
    /// True if the current bytes, or those sent last, came from a socket.
    is_socket: bool,
    /// True if the other server's socket has bytes that were not read yet.
    has_arrived: bool,
}

impl SpliceRelay {
    /// Creates a relay of the rest of a range.
    pub fn new(remote: RangeReader) -> Self {
        Self::through(remote, &PIPES)
    }

    fn through(remote: RangeReader, pipes: &'static PipePool) -> Self {
        Self {
            left: remote.left(),
            state: State::Idle(Box::new(Source {
                remote,
                memory: Bytes::new(),
                pipe: None,
                pipes,
                is_socket: false,
                has_arrived: false,
            })),
        }
    }

    /// Returns the number of bytes that are not sent yet.
    pub fn left_bytes(&self) -> u64 {
        self.left
    }

    /// Returns true if everything received so far from the socket was sent but the object is
    /// incomplete.
    ///
    /// The caller should yield to other connections then: more bytes accumulate meanwhile, and the
    /// cost is per splice, not per byte. With several verified objects, yielding also gives
    /// each hash stream a piece in turn, so that they are hashed side by side.
    pub fn is_drained(&self) -> bool {
        match &self.state {
            State::Idle(source) => self.left > 0 && source.is_socket && source.held_bytes() == 0,
            State::Busy(_) | State::Failed => false,
        }
    }

    /// Waits until the other server has sent bytes, without reading them. The caller needs no
    /// send slot for this.
    ///
    /// # Errors
    /// Those of [`RangeReader`]; the relay has failed then.
    pub fn poll_arrived(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let is_there = |source: &Source| source.held_bytes() > 0 || source.has_arrived;
        self.poll_until(cx, is_there, |source| Box::pin(source.arrived()))
    }

    /// Waits until there are bytes to send.
    ///
    /// # Errors
    /// Those of [`RangeReader`]; the relay has failed then.
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
            // `Failed` stands in while the state is moved out; an error leaves it there.
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Idle(source) if is_there(&source) => {
                    self.state = State::Idle(source);
                    return Poll::Ready(Ok(()));
                }
                State::Idle(source) => {
                    self.state = State::Busy(Operation(work(source)));
                }
                State::Busy(mut busy) => {
                    let Poll::Ready((source, done)) = busy.0.as_mut().poll(cx) else {
                        self.state = State::Busy(busy);
                        return Poll::Pending;
                    };
                    done?;
                    self.state = State::Idle(source);
                }
                State::Failed => {
                    let failed = Error::internal("the transfer from the store failed before");
                    return Poll::Ready(Err(failed));
                }
            }
        }
    }

    /// Sends at most `most_bytes` of the bytes that were read.
    ///
    /// # Errors
    /// Those of the client's socket; `WouldBlock` if there are no bytes to send.
    pub fn send(&mut self, to: BorrowedFd<'_>, most_bytes: usize) -> io::Result<usize> {
        let State::Idle(source) = &mut self.state else {
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

    fn send(&mut self, to: BorrowedFd<'_>, most_bytes: usize) -> io::Result<usize> {
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

    /// Waits for bytes of the other server. Bytes in memory are hashed and ready to send.
    async fn arrive(&mut self) -> Result<()> {
        match self.remote.next_chunk().await? {
            None => Err(Error::internal("no bytes are left to relay")),
            Some(RangeChunk::Memory(bytes)) => {
                self.is_socket = false;
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

    /// Reads the next bytes; the last ones only if the digest is right.
    async fn fill(&mut self) -> Result<()> {
        while self.held_bytes() == 0 {
            self.arrive().await?;
            if std::mem::take(&mut self.has_arrived) {
                self.read_socket().await?;
            }
        }
        Ok(())
    }

    /// Reads bytes from the other server's socket: into a pipe if the pool has one, else into
    /// memory.
    async fn read_socket(&mut self) -> Result<()> {
        self.is_socket = true;
        let Some(pooled) = self.pipe.take().or_else(|| self.pipes.take()) else {
            let next = self.remote.next_at_most(MEMORY_PIECE_BYTES).await?;
            self.memory = next.unwrap_or_default();
            return Ok(());
        };
        self.splice_into(pooled).await?;
        // The hash comes before the send: the last bytes must be verified before they leave.
        if self.remote.has_digest() && self.held_bytes() > 0 {
            self.hash_piped().await?;
        }
        if self.held_bytes() > 0 {
            self.remote.verify_end().await?;
        }
        Ok(())
    }

    async fn splice_into(&mut self, mut pooled: PooledPipe) -> Result<()> {
        let Some(stream) = self.remote.socket() else {
            self.pipes.put_back(pooled);
            return Ok(());
        };
        // Bytes to be hashed are read into one block later, so no more than a block is spliced.
        let piece_bytes = match self.remote.has_digest() {
            true => BLOCK_BYTES,
            false => PIECE_BYTES,
        };
        let left = usize::try_from(self.remote.left()).unwrap_or(usize::MAX);
        let from = stream.as_fd();
        let splice = || pooled.pipe.splice_in(from, left.min(piece_bytes));
        let spliced = stream.try_io(Interest::READABLE, splice);
        match pooled.pipe.held_bytes() {
            0 => self.pipes.put_back(pooled),
            _ => self.pipe = Some(pooled),
        }
        match spliced {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            spliced => self.remote.consumed(spliced).await,
        }
    }

    /// Hashes the bytes in the pipe. The second pipe is returned as soon as it is read.
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
            // There is no second pipe, or it has too few pages. Reading the first pipe consumes
            // its bytes, so they are sent from memory.
            _ => {
                self.memory = self.read_out(pooled)?;
                self.remote.hash(self.memory.clone()).await;
            }
        }
        Ok(())
    }

    /// Reads all bytes of a pipe into one block. A block has space for all of them, since at most
    /// [`BLOCK_BYTES`] are spliced at a time when a digest is verified.
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

impl std::fmt::Debug for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Operation")
    }
}

#[cfg(test)]
mod tests;
