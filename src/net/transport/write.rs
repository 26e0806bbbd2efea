//! The ways out: plain bytes, and those of segments, a turn at a time.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;

use super::Transport;
use super::syscalls::{send_file, send_slices, whole_pages};
use crate::error::Error;
use crate::net::body_source::{BodySource, Segment, is_placeholder};
use crate::transfer::{FileSlice, PartialSlice, SpliceRelay};

/// Most plain slices that go out in one call.
const MAX_SLICES: usize = 16;

impl Transport {
    /// Sends what is at the front of `slices`, or the bytes of the segment that stands there;
    /// how many they were.
    pub(super) fn send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.writing();
        if self.shared.outbox.is_miscounted() {
            return Poll::Ready(Err(io::Error::other(
                "bytes of a file were copied as placeholders; the connection is broken off",
            )));
        }
        let is_plain = |slice: &&IoSlice<'_>| !is_placeholder(slice);
        let plain = slices.iter().take(MAX_SLICES).take_while(is_plain).count();
        let sent = if plain == 0 && !slices.is_empty() {
            match self.shared.outbox.front() {
                Some(segment) => self.send_segment(cx, &segment, slices[0].len()),
                None => Poll::Ready(Err(io::Error::other(
                    "a placeholder without a file behind it",
                ))),
            }
        } else {
            self.send_plain(cx, &slices[..plain], plain < slices.len())
        };
        match &sent {
            Poll::Ready(Ok(bytes)) => self.turn.spend(*bytes),
            // Whoever waits for something else lets others have their turn.
            _ => self.turn.end(),
        }
        sent
    }

    fn send_plain(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more_follows: bool,
    ) -> Poll<io::Result<usize>> {
        if slices.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_turn(cx, false))?;
        let fd = self.stream.as_raw_fd();
        let sent = ready!(self.when_writable(cx, || {
            let sent = send_slices(fd, slices, more_follows)?;
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            Ok((sent, sent < wanted))
        }));
        self.is_corked = more_follows;
        Poll::Ready(sent)
    }

    /// Looks at a source of bytes. While it has none, the kernel sends what it holds back: it
    /// was told that more follows, and would wait up to 200 ms for a full packet (tcp(7),
    /// MSG_MORE).
    fn source_says<T>(&mut self, looked: Poll<T>) -> Poll<T> {
        if looked.is_pending() && mem::take(&mut self.is_corked) {
            // Setting it once more sends at once. A socket that refuses has failed, which the
            // next call to send says.
            let _ = self.stream.set_nodelay(true);
        }
        looked
    }

    fn send_segment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment,
        shown: usize,
    ) -> Poll<io::Result<usize>> {
        let left = usize::try_from(segment.left()).unwrap_or(usize::MAX);
        let (moved, most) = (segment.moved_bytes(), shown.min(left));
        let sent = match segment.road() {
            BodySource::File(slice) => self.send_file(cx, slice, moved, most),
            BodySource::PartialFile(slice) => {
                self.send_growing(cx, &mut slice.borrow_mut(), moved, most)
            }
            BodySource::Relay(relay) => self.send_relayed(cx, &mut relay.borrow_mut(), most),
        };
        let sent = ready!(sent)?;
        segment.moved(sent as u64);
        Poll::Ready(Ok(sent))
    }

    /// Waits for a turn, once the socket takes data. Only who can send may stand in line: hyper
    /// asks more than once in a poll, and one that cannot would be back in line as soon as it
    /// was called up, for ever.
    fn poll_turn(&mut self, cx: &mut Context<'_>, is_long: bool) -> Poll<io::Result<()>> {
        if self.has_sent && self.stream.poll_write_ready(cx)?.is_pending() {
            return self.poll_stalled(cx);
        }
        self.turn.poll(cx, is_long).map(Ok)
    }

    fn send_file(
        &mut self,
        cx: &mut Context<'_>,
        slice: &FileSlice,
        moved: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let read_ahead = self.prefetch.poll_ready(cx, slice, moved);
        let ready_bytes = ready!(self.source_says(read_ahead))?;
        ready!(self.poll_turn(cx, true))?;
        let position = slice.offset + moved;
        let most = most.min(self.turn.left_bytes());
        let wanted = whole_pages(position, most, slice.len - moved);
        let wanted = usize::try_from(ready_bytes).map_or(wanted, |ready| wanted.min(ready));
        let (out, file) = (self.stream.as_raw_fd(), slice.file.as_raw_fd());
        let sent = ready!(self.when_writable(cx, || {
            // Fewer bytes than wanted do not mean that the socket is full: a completion of
            // io_uring on this thread ends sendfile early, as a signal would. Waiting for
            // room then would be waiting for an event that has no reason to come.
            let sent = send_file(out, file, position, wanted)?;
            Ok((sent, false))
        }));
        self.is_corked = false;
        Poll::Ready(sent)
    }

    /// Sends what is there of a file that is being written.
    fn send_growing(
        &mut self,
        cx: &mut Context<'_>,
        slice: &mut PartialSlice,
        moved: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let there = slice.poll_available(cx, moved);
        match self.source_says(there) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(there)) => {
                let left = usize::try_from(there.len - moved).unwrap_or(usize::MAX);
                self.send_file(cx, there, moved, most.min(left))
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
        relay: &mut SpliceRelay,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let arrived = relay.poll_arrived(cx);
        ready!(self.source_says(arrived)).map_err(|error| broken_off(error, relay))?;
        ready!(self.poll_turn(cx, true))?;
        let filled = relay.poll_filled(cx);
        ready!(self.source_says(filled)).map_err(|error| broken_off(error, relay))?;
        let out = self.stream.as_raw_fd();
        let sent = ready!(self.when_writable(cx, || Ok((relay.send(out, most)?, false))))?;
        self.is_corked = relay.left() > 0;
        if relay.is_drained() {
            self.turn.use_up();
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
                    self.stalled = None;
                    return Poll::Ready(Ok(sent));
                }
            }
        }
    }

    /// The socket takes nothing: waits, but not for ever.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
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
}

/// An origin failed. Only breaking off tells a client that what it has is not the whole.
fn broken_off(error: Error, relay: &SpliceRelay) -> io::Error {
    let left = relay.left();
    tracing::error!(?error, left, "an origin's object cannot be passed on");
    io::Error::other(error)
}
