//! A stream that can still be read after the peer has stopped reading. A server that refuses an
//! upload responds and closes while the client is sending; the kernel then refuses further writes,
//! but the response is in the receive buffer. Reporting the failed write to hyper would lose it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Wraps a stream. After a refused write, writes stay pending, so that the connection ends with
/// what is read: the response, the end of the stream, or the error of the read.
pub(super) struct ReadAfterRefusedWrite<S> {
    stream: S,
    is_write_refused: bool,
}

impl<S> ReadAfterRefusedWrite<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            is_write_refused: false,
        }
    }

    fn check(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if is_refusal(&error) => {
                self.is_write_refused = true;
                // No waker is needed: the closed connection makes the stream readable, and hyper
                // is always waiting to read.
                Poll::Pending
            }
            other => other,
        }
    }
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAfterRefusedWrite<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAfterRefusedWrite<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_write_refused {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.check(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_write_refused {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.check(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_write_refused {
            // TLS may hold bytes that it would try to write again.
            return Poll::Ready(Ok(()));
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(error)) if is_refusal(&error) => {
                self.is_write_refused = true;
                Poll::Ready(Ok(()))
            }
            flushed => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
