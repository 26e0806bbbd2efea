//! The I/O object that hyper reads from and writes to: a client's socket.
//!
//! Reads pass through the framing validator. Writes send bytes in memory with sendmsg(2), file
//! data with sendfile(2) and data of other servers with splice(2); a placeholder in hyper's
//! buffer (see `body_source`) tells which.

mod fair_queue;
mod linger;
mod read;
mod read_buffer;
mod readahead;
mod syscalls;
mod write;

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::rt::ReadBufCursor;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Sleep;

pub(super) use self::fair_queue::SendSlot;
use self::read::Receiver;
use self::read_buffer::ReadBufferBudget;
pub use self::read_buffer::released_since_peak;
pub(super) use self::read_buffer::reset_peak;
use self::readahead::Readahead;
use super::connection_state::ConnectionState;
use super::framing::{FramingLimits, FramingValidator};
use crate::transfer::BlockingPool;

/// Time limits of a transport.
#[derive(Debug, Clone, Copy)]
pub(super) struct SocketTimeouts {
    /// Longest time in which the client receives nothing. `None` disables the limit.
    pub(super) write_stall: Option<Duration>,
    /// Longest time of a lingering close.
    pub(super) linger: Duration,
}

/// Limits of the read buffers.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    /// Largest read buffer of a connection, in bytes.
    pub(super) buffer_bytes: usize,
    /// Most bytes of the large read buffers of all connections together.
    pub(super) all_buffers_bytes: usize,
}

/// A client's socket, with the state of receiving and sending.
pub(super) struct Transport {
    stream: Rc<TcpStream>,
    receiver: Receiver,
    framing: FramingValidator,
    pub(super) shared: Rc<ConnectionState>,
    readahead: Readahead,
    timeouts: SocketTimeouts,
    read_budget: ReadBufferBudget,
    /// True if the socket was written to. The first write is tried at once: the runtime does not
    /// know the readiness of a new socket, and trying costs less than an event-loop tick.
    has_sent: bool,
    /// True if the kernel may hold back a partial packet, because the last call announced more
    /// data (MSG_MORE, SPLICE_F_MORE).
    is_corked: bool,
    slot: SendSlot,
    /// Write-stall timer; runs while the socket is not writable.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Linger timer; runs from the shutdown of the sending side.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Transport {
    pub(super) fn new(
        stream: Rc<TcpStream>,
        shared: Rc<ConnectionState>,
        limits: FramingLimits,
        timeouts: SocketTimeouts,
        reads: ReadLimits,
        blocking: BlockingPool,
    ) -> Self {
        Self {
            receiver: Receiver::new(Rc::clone(&stream)),
            stream,
            framing: FramingValidator::new(limits),
            shared,
            readahead: Readahead::new(blocking),
            timeouts,
            read_budget: ReadBufferBudget::new(reads.buffer_bytes, reads.all_buffers_bytes),
            has_sent: false,
            is_corked: false,
            slot: SendSlot::default(),
            stalled: None,
            lingering: None,
        }
    }

    /// Receives into the fast path's buffer, past the validator.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.receiver.poll_receive(cx, buffer)
    }

    /// Records that hyper and its read buffer were dropped.
    pub(super) fn park(&mut self) {
        self.read_budget.release();
    }

    /// Buffers bytes that the fast path received and did not use. hyper reads them first.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.framing.hold(bytes);
        self.framing.update(&self.shared);
    }

    /// Counts a request that the fast path answered.
    pub(super) fn count_fast_request(&mut self) {
        self.framing.count_fast_request();
        self.framing.update(&self.shared);
        self.shared.count_fast_request();
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    /// Those of sendmsg(2); `TimedOut` if the client receives nothing.
    pub(super) async fn send_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let slices = [IoSlice::new(bytes)];
            let sent = poll_fn(|cx| self.send(cx, &slices)).await?;
            bytes = &bytes[sent..];
        }
        self.shared.set_flushed();
        Ok(())
    }
}

impl hyper::rt::Read for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            receiver,
            framing,
            shared,
            read_budget,
            ..
        } = self.get_mut();
        // SAFETY: tokio's buffer writes only initialised bytes into the slice and never makes
        // initialised bytes uninitialised, as the cursor requires.
        let buffer = unsafe { cursor.as_mut() };
        let limit = read_budget.limit(buffer.len());
        let mut buffer = ReadBuf::uninit(&mut buffer[..limit]);
        let mut receive =
            |cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>| receiver.poll_receive(cx, buffer);
        let filled = framing.poll_fill(cx, &mut buffer, &mut receive, shared);
        framing.update(shared);
        ready!(filled)?;
        let received = buffer.filled().len();
        // SAFETY: tokio filled this many bytes at the front of the slice.
        unsafe { cursor.advance(received) };
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().send(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().send(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.set_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_close(cx)
    }
}
