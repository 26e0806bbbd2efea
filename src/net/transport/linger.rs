//! Lingering close: closes a connection whose client may still be sending, without a reset.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::ReadBuf;

use super::Transport;

/// Bytes that one read discards.
const DISCARD_BYTES: usize = 16 * 1024;

/// Reads per event-loop tick. Other connections are served in between.
const READS_PER_TICK: usize = 16;

impl Transport {
    /// Shuts down the sending side. If the client is still sending a body, discards what it
    /// sends until it closes or the linger time is over.
    ///
    /// Closing a socket with unread bytes resets the connection, and a reset may destroy the
    /// response before the client has read it (RFC 9112, 9.6).
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
                // The client has reset the connection already.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return Poll::Ready(Ok(()));
                }
                result => result?,
            }
            if !self.framing.is_inside_body() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limit = self.timeouts.linger;
        let timer = self
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut discarded = [0; DISCARD_BYTES];
        for _ in 0..READS_PER_TICK {
            let mut buffer = ReadBuf::new(&mut discarded);
            match self.receiver.poll_receive(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        // The client sends faster than this loop may read. Continuing in the next tick lets other
        // connections of the worker proceed.
        super::fair_queue::next_tick(cx);
        Poll::Pending
    }
}
