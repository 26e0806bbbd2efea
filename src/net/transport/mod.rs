//! The socket under hyper: plain bytes by sendmsg, bytes of files by sendfile, those of other
//! servers by splice.

mod calls;
mod lingering;
mod sending;
mod turns;

use std::future::poll_fn;
use std::io::{self, IoSlice, Read};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::ReadBufCursor;
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use self::turns::Turn;
use super::head_guard::HeadGuard;
use super::prefetch::Prefetch;
use super::shared::Shared;
use crate::transfer::Blocking;

/// Time limits of a transport.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// Longest time in which a reader takes nothing; `None` waits for ever.
    pub(super) write_stall: Option<Duration>,
    /// Longest time spent on reading away what a refused client still sends.
    pub(super) linger: Duration,
}

/// A client's socket, as hyper reads and writes it.
pub(super) struct Transport {
    stream: TcpStream,
    pub(super) shared: Rc<Shared>,
    guard: HeadGuard,
    prefetch: Prefetch,
    patience: Patience,
    /// Whether the socket was read or written to. Before that nobody knows whether it is
    /// ready, for the worker has not asked, and trying costs less than asking.
    has_read: bool,
    has_sent: bool,
    turn: Turn,
    /// Runs while the socket takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs from the end of our side until the client's side ends.
    lingering: Option<Pin<Box<Sleep>>>,
    /// Bytes that were received for the short road and belong on the long one.
    unread: Bytes,
}

impl Transport {
    pub(super) fn new(
        stream: TcpStream,
        shared: Rc<Shared>,
        patience: Patience,
        blocking: Blocking,
    ) -> Self {
        Self {
            stream,
            shared,
            guard: HeadGuard::new(),
            prefetch: Prefetch::new(blocking),
            patience,
            has_read: false,
            has_sent: false,
            turn: Turn::default(),
            stalled: None,
            lingering: None,
            unread: Bytes::new(),
        }
    }

    /// Reads into a buffer on the stack what has come in.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !mem::replace(&mut self.has_read, true)
            && let Ok(received) = (&*SockRef::from(&self.stream)).read(buffer.initialize_unfilled())
        {
            buffer.advance(received);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }

    /// Keeps bytes that were received but not used, for hyper to read.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        self.unread = Bytes::copy_from_slice(bytes);
    }

    /// Shows bytes to the guard, in the order in which they are used.
    pub(super) fn observe(&mut self, bytes: &[u8]) {
        let shared = &self.shared;
        self.guard
            .observe(bytes, |violation| shared.report(violation));
        shared.received(bytes.len(), &self.guard);
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
        let this = self.get_mut();
        if !this.unread.is_empty() {
            let ready = this.unread.len().min(cursor.remaining());
            let bytes = this.unread.split_to(ready);
            cursor.put_slice(&bytes);
            this.observe(&bytes);
            return Poll::Ready(Ok(()));
        }
        // SAFETY: tokio's buffer writes only initialised bytes into the slice and never
        // makes initialised bytes uninitialised, which is what the cursor asks for.
        let mut buffer = ReadBuf::uninit(unsafe { cursor.as_mut() });
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer))?;
        let filled = buffer.filled();
        let received = filled.len();
        this.observe(filled);
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
