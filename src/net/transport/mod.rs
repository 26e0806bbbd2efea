//! The socket under hyper: plain bytes by sendmsg, bytes of files by sendfile, those of other
//! servers by splice.

mod fair_queue;
mod linger;
mod read;
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
use super::connection_state::ConnectionState;
use super::framing::{FramingLimits, FramingValidator};
use super::read_buffer::ReadBufferBudget;
use super::readahead::Readahead;
use crate::transfer::BlockingPool;

/// Time limits of a transport.
#[derive(Debug, Clone, Copy)]
pub(super) struct SocketTimeouts {
    /// Longest time in which a reader takes nothing; `None` waits for ever.
    pub(super) write_stall: Option<Duration>,
    /// Longest time spent on reading away what a refused client still sends.
    pub(super) linger: Duration,
}

/// Limits of what is received.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    /// Largest read buffer of a connection, in bytes.
    pub(super) buffer_bytes: usize,
    /// Bytes of the large read buffers of all connections.
    pub(super) all_buffers_bytes: usize,
}

/// A client's socket, as hyper reads and writes it.
pub(super) struct Transport {
    stream: Rc<TcpStream>,
    receiver: Receiver,
    inbound: FramingValidator,
    pub(super) shared: Rc<ConnectionState>,
    prefetch: Readahead,
    patience: SocketTimeouts,
    read_room: ReadBufferBudget,
    /// Whether the socket was written to. Before that the worker has not asked whether it is
    /// ready, and trying costs less than asking.
    has_sent: bool,
    /// Whether the kernel may hold bytes back because it was told that more follows.
    is_corked: bool,
    turn: SendSlot,
    /// Runs while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs from the end of our side until the client's side ends.
    lingering: Option<Pin<Box<Sleep>>>,
}

impl Transport {
    pub(super) fn new(
        stream: Rc<TcpStream>,
        shared: Rc<ConnectionState>,
        limits: FramingLimits,
        patience: SocketTimeouts,
        reads: ReadLimits,
        blocking: BlockingPool,
    ) -> Self {
        Self {
            receiver: Receiver::new(Rc::clone(&stream)),
            stream,
            inbound: FramingValidator::new(limits),
            shared,
            prefetch: Readahead::new(blocking),
            patience,
            read_room: ReadBufferBudget::new(reads.buffer_bytes, reads.all_buffers_bytes),
            has_sent: false,
            is_corked: false,
            turn: SendSlot::default(),
            stalled: None,
            lingering: None,
        }
    }

    /// Reads into a buffer on the stack what has come in.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.receiver.poll_receive(cx, buffer)
    }

    /// hyper is gone, and its read buffer with it.
    pub(super) fn park(&mut self) {
        self.read_room.release();
    }

    /// Keeps bytes that were received but not used, for hyper to read.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.inbound.hold(bytes);
        self.inbound.tell(&self.shared);
    }

    /// Counts a request that was answered without hyper.
    pub(super) fn count_fast_request(&mut self) {
        self.inbound.count_plain();
        self.inbound.tell(&self.shared);
        self.shared.count_fast_request();
    }

    /// Sends all of `bytes`.
    pub(super) async fn send_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let slices = [IoSlice::new(bytes)];
            let sent = poll_fn(|cx| self.send(cx, &slices)).await?;
            bytes = &bytes[sent..];
        }
        self.shared.flushed();
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
            inbound,
            shared,
            read_room,
            ..
        } = self.get_mut();
        // SAFETY: tokio's buffer writes only initialised bytes into the slice and never
        // makes initialised bytes uninitialised, which is what the cursor asks for.
        let buffer = unsafe { cursor.as_mut() };
        let limit = read_room.limit(buffer.len());
        let mut buffer = ReadBuf::uninit(&mut buffer[..limit]);
        let mut receive =
            |cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>| receiver.poll_receive(cx, buffer);
        let filled = inbound.poll_fill(cx, &mut buffer, &mut receive, shared);
        inbound.tell(shared);
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
        self.shared.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_end(cx)
    }
}
