//! The end of a connection whose client is still sending.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::ReadBuf;

use super::Transport;

/// Bytes that are read away at a time.
const WASTE_BYTES: usize = 16 * 1024;

/// Reads before others get their turn.
const READS: usize = 16;

impl Transport {
    /// Ends our side. Where the client is still inside a body, what it sends is read away, so
    /// that closing does not reset the connection before it has read the answer (RFC 9112,
    /// 9.6).
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            match SockRef::from(&*self.stream).shutdown(Shutdown::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return Poll::Ready(Ok(()));
                }
                result => result?,
            }
            if !self.inbound.is_inside_body() {
                return Poll::Ready(Ok(()));
            }
        }
        self.poll_linger(cx)
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limit = self.patience.linger;
        let timer = self
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut waste = [0; WASTE_BYTES];
        for _ in 0..READS {
            let mut buffer = ReadBuf::new(&mut waste);
            match self.receiver.poll_receive(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        super::fair_queue::next_tick(cx);
        Poll::Pending
    }
}
