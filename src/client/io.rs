//! One connection's socket, as hyper wants it, with a limit on silence.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

/// Whether this side has nothing to send yet, so that silence is no fault of the peer.
#[derive(Debug, Clone, Default)]
pub(super) struct SourceWait(Arc<AtomicBool>);

impl SourceWait {
    pub(super) fn set(&self, waiting: bool) {
        self.0.store(waiting, Ordering::Relaxed);
    }

    fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A TCP connection that fails when its peer is silent for too long.
pub(super) struct PeerSocket {
    stream: TcpStream,
    silence_limit: Duration,
    /// Since when nothing came and nothing could be sent.
    silent_since: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    source: SourceWait,
    /// The peer takes no more bytes; its answer may still be on the way.
    write_broken: bool,
}

impl PeerSocket {
    pub(super) fn new(stream: TcpStream, silence_limit: Duration, source: SourceWait) -> Self {
        Self {
            stream,
            silence_limit,
            silent_since: None,
            alarm: Box::pin(sleep(silence_limit)),
            source,
            write_broken: false,
        }
    }

    /// Pending, or the end of patience.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = Instant::now();
        let since = match self.silent_since {
            Some(since) => since,
            None => {
                self.silent_since = Some(now);
                self.alarm.as_mut().reset(now + self.silence_limit);
                now
            }
        };
        while self.alarm.as_mut().poll(cx).is_ready() {
            let mut until = since + self.silence_limit;
            if self.source.is_waiting() {
                self.silent_since = Some(now);
                until = now + self.silence_limit;
            } else if now >= until {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }

    /// Notes a write, and makes nothing of a refused one: a server that refuses an upload
    /// closes while bytes are on their way, and its answer is still to be read.
    fn wrote(&mut self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(length)) => {
                self.silent_since = None;
                Poll::Ready(Ok(length))
            }
            Poll::Ready(Err(error)) if is_refused(&error) => {
                self.write_broken = true;
                Poll::Pending
            }
            other => other,
        }
    }
}

fn is_refused(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}

impl Read for PeerSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // SAFETY: the uninitialized bytes are only handed to tokio's ReadBuf, which keeps
        // count of what it has filled and never exposes the rest.
        let mut buffer = ReadBuf::uninit(unsafe { cursor.as_mut() });
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(outcome) => {
                let length = buffer.filled().len();
                self.silent_since = None;
                // SAFETY: tokio's ReadBuf has initialized its first `length` bytes, and they
                // are the first bytes of this cursor.
                unsafe { cursor.advance(length) };
                Poll::Ready(outcome)
            }
            Poll::Pending => self.poll_silence(cx),
        }
    }
}

impl Write for PeerSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.write_broken {
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.write_broken {
            return Poll::Pending;
        }
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(outcome)
    }
}
