//! The socket under hyper: plain bytes by sendmsg, bytes of files by sendfile, those of other
//! servers by splice.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Read};
use std::mem;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::ReadBufCursor;
use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::head_guard::HeadGuard;
use super::prefetch::Prefetch;
use super::segment::{Road, Segment, is_placeholder};
use super::shared::Shared;
use crate::transfer::{Blocking, FileSlice, GrowingSlice, Relay};

/// Bytes sent before other connections of the worker get their turn: .1 ms on one core.
const TURN_BYTES: usize = 512 * 1024;

/// What the kernel keeps files in.
const PAGE_BYTES: u64 = 4096;

/// Most plain slices that go out in one call.
const MAX_SLICES: usize = 16;

/// Whether nothing worth a call is left of a turn. Were a part of a page sent for its own
/// sake, the next turn would begin within a page and be cut in two again, and so on for the
/// whole file.
fn is_turn_over(turn_bytes: usize) -> bool {
    turn_bytes + PAGE_BYTES as usize > TURN_BYTES
}

/// Wakes the task when all others that are ready have had their turn, and the worker has
/// looked for new connections and for sockets that have become ready. A task that wakes
/// itself would be polled again before that, dozens of times.
fn next_turn<T>(cx: &mut Context<'_>) -> Poll<T> {
    let yielded = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielded.is_pending(), "the first poll never is the last");
    Poll::Pending
}

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
    /// Bytes sent in this turn.
    turn_bytes: usize,
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
            turn_bytes: 0,
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

    fn send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.shared.writing();
        if self.shared.outbox.is_miscounted() {
            return Poll::Ready(Err(io::Error::other(
                "bytes of a file were copied as placeholders; the connection is broken off",
            )));
        }
        if is_turn_over(self.turn_bytes) {
            self.turn_bytes = 0;
            return next_turn(cx);
        }
        let plain = slices
            .iter()
            .take(MAX_SLICES)
            .take_while(|slice| !is_placeholder(slice))
            .count();
        if plain > 0 {
            let more_follows = plain < slices.len();
            return self.send_plain(cx, &slices[..plain], more_follows);
        }
        match (slices.first(), self.shared.outbox.front()) {
            (None, _) => Poll::Ready(Ok(0)),
            (Some(slice), Some(segment)) => self.send_segment(cx, &segment, slice.len()),
            (Some(_), None) => Poll::Ready(Err(io::Error::other(
                "a placeholder without a file behind it",
            ))),
        }
    }

    fn send_plain(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more_follows: bool,
    ) -> Poll<io::Result<usize>> {
        let fd = self.stream.as_raw_fd();
        self.when_writable(cx, || {
            let sent = send_slices(fd, slices, more_follows)?;
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            Ok((sent, sent < wanted))
        })
    }

    fn send_segment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment,
        shown: usize,
    ) -> Poll<io::Result<usize>> {
        let left = usize::try_from(segment.left()).unwrap_or(usize::MAX);
        let most = shown.min(left);
        let sent = match segment.road() {
            Road::File(slice) => {
                let most = most.min(TURN_BYTES - self.turn_bytes);
                ready!(self.send_file(cx, slice, segment.moved_bytes(), most))?
            }
            Road::Growing(slice) => {
                let moved = segment.moved_bytes();
                ready!(self.send_growing(cx, &mut slice.borrow_mut(), moved, most))?
            }
            Road::Relay(relay) => ready!(self.send_relayed(cx, &mut relay.borrow_mut(), most))?,
        };
        segment.moved(sent as u64);
        Poll::Ready(Ok(sent))
    }

    fn send_file(
        &mut self,
        cx: &mut Context<'_>,
        slice: &FileSlice,
        moved: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let position = slice.offset + moved;
        let wanted = whole_pages(position, most, slice.len - moved);
        let ready_bytes = ready!(self.prefetch.poll_ready(cx, slice, moved))?;
        let wanted = usize::try_from(ready_bytes).map_or(wanted, |ready| wanted.min(ready));
        let (out, file) = (self.stream.as_raw_fd(), slice.file.as_raw_fd());
        self.when_writable(cx, || {
            // Fewer bytes than wanted do not mean that the socket is full: a completion of
            // io_uring on this thread ends sendfile early, as a signal would. Waiting for
            // room then would be waiting for an event that has no reason to come.
            let sent = send_file(out, file, position, wanted)?;
            Ok((sent, false))
        })
    }

    /// Sends what is there of a file that is being written.
    fn send_growing(
        &mut self,
        cx: &mut Context<'_>,
        slice: &mut GrowingSlice,
        moved: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        match slice.poll_there(cx, moved) {
            Poll::Pending => {
                // What was sent before belongs to a turn that is over.
                self.turn_bytes = 0;
                Poll::Pending
            }
            Poll::Ready(Ok(there)) => {
                let left = usize::try_from(there.len - moved).unwrap_or(usize::MAX);
                let most = most.min(left).min(TURN_BYTES - self.turn_bytes);
                self.send_file(cx, there, moved, most)
            }
            Poll::Ready(Err(error)) => {
                // Only breaking off tells a client that what it has is not the whole.
                tracing::error!(
                    ?error,
                    moved,
                    "an image on its way into the cache broke off"
                );
                Poll::Ready(Err(io::Error::other(error)))
            }
        }
    }

    fn send_relayed(
        &mut self,
        cx: &mut Context<'_>,
        relay: &mut Relay,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if let Err(error) = ready!(relay.poll_filled(cx)) {
            // Only breaking off tells a client that what it has is not the whole.
            tracing::error!(
                ?error,
                left = relay.left(),
                "an origin's object cannot be passed on"
            );
            return Poll::Ready(Err(io::Error::other(error)));
        }
        let out = self.stream.as_raw_fd();
        let sent = ready!(self.when_writable(cx, || Ok((relay.send(out, most)?, false))))?;
        if relay.is_drained() {
            self.turn_bytes = TURN_BYTES;
        }
        Poll::Ready(Ok(sent))
    }

    /// Runs a call that sends, once the socket takes data. The call says how much it sent
    /// and whether the socket is full now.
    fn when_writable(
        &mut self,
        cx: &mut Context<'_>,
        mut call: impl FnMut() -> io::Result<(usize, bool)>,
    ) -> Poll<io::Result<usize>> {
        if !mem::replace(&mut self.has_sent, true)
            && let Ok((sent, _)) = call()
        {
            self.turn_bytes += sent;
            return Poll::Ready(Ok(sent));
        }
        loop {
            if self.stream.poll_write_ready(cx)?.is_pending() {
                return self.poll_stalled(cx);
            }
            let mut sent = 0;
            let result = self.stream.try_io(Interest::WRITABLE, || {
                let (bytes, full) = call()?;
                sent = bytes;
                // Saying so clears the readiness, which spares a call that would fail.
                if full {
                    Err(io::ErrorKind::WouldBlock.into())
                } else {
                    Ok(())
                }
            });
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && sent == 0 => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                    return Poll::Ready(Err(error));
                }
                _ => {
                    self.turn_bytes += sent;
                    self.stalled = None;
                    return Poll::Ready(Ok(sent));
                }
            }
        }
    }

    /// The socket takes nothing: waits, but not for ever.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        // What was sent before belongs to a turn that is over.
        self.turn_bytes = 0;
        let Some(limit) = self.patience.write_stall else {
            return Poll::Pending;
        };
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes no data",
        )))
    }

    /// Reads away what the client still sends, so that closing does not reset the
    /// connection before the client has read the answer (RFC 9112, 9.6).
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let limit = self.patience.linger;
        let timer = self
            .lingering
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut waste = [0; 16 * 1024];
        for _ in 0..16 {
            let mut buffer = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        next_turn(cx)
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
        let this = self.get_mut();
        if this.lingering.is_none() {
            match socket2::SockRef::from(&this.stream).shutdown(Shutdown::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                    return Poll::Ready(Ok(()));
                }
                result => result?,
            }
            if !this.guard.is_inside_body() {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_linger(cx)
    }
}

/// Ends a step at the border of a page, unless it is the last: the kernel works on a page that
/// is sent in two parts twice, and all steps behind would begin in the middle of one.
fn whole_pages(position: u64, wanted: usize, left: u64) -> usize {
    let over = (position % PAGE_BYTES) as usize + wanted;
    let whole = over - over % PAGE_BYTES as usize;
    let whole = whole.saturating_sub((position % PAGE_BYTES) as usize);
    if wanted as u64 == left || whole == 0 {
        wanted
    } else {
        whole
    }
}

/// Sends slices; with `more_follows` the kernel waits for more before it sends a packet
/// that is not full.
fn send_slices(fd: RawFd, slices: &[IoSlice<'_>], more_follows: bool) -> io::Result<usize> {
    // SAFETY: all-zero bytes are a valid msghdr: no name, no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // IoSlice is guaranteed to have the layout of iovec; sendmsg does not write to it.
    message.msg_iov = slices.as_ptr().cast_mut().cast();
    message.msg_iovlen = slices.len();
    let more = if more_follows { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | more;
    // SAFETY: the message points to slices that outlive the call.
    let sent = unsafe { libc::sendmsg(fd, &raw const message, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Moves bytes of a file to the socket without their passing through user space.
fn send_file(out: RawFd, file: RawFd, position: u64, wanted: usize) -> io::Result<usize> {
    let mut offset = libc::off_t::try_from(position).map_err(io::Error::other)?;
    // SAFETY: two descriptors and a valid pointer to an offset.
    let sent = unsafe { libc::sendfile(out, file, &raw mut offset, wanted) };
    match usize::try_from(sent) {
        Ok(0) if wanted > 0 => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the file is shorter than it was when it was opened",
        )),
        Ok(sent) => Ok(sent),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_before_a_file_cuts_no_later_turn_in_two() {
        let (mut left, mut turn_bytes, mut position) = (4 * TURN_BYTES as u64 + 100, 812, 0);
        while left > 0 {
            turn_bytes *= usize::from(!is_turn_over(turn_bytes));
            let most = (TURN_BYTES - turn_bytes).min(left as usize);
            let sent = whole_pages(position, most, left);
            assert_eq!(position % PAGE_BYTES, 0);
            (position, left) = (position + sent as u64, left - sent as u64);
            turn_bytes += sent;
        }
    }
}
