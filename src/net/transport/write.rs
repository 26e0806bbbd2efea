//! Sends response bytes: when the socket is writable and the fair queue grants a slot, by the
//! system call that fits the source of the bytes.

use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::Interest;

use super::Transport;
use super::syscalls::{send_file, send_slices, whole_pages};
use crate::error::Error;
use crate::net::body_source::{BodySource, Segment, is_placeholder};
use crate::transfer::{FileSlice, PartialSlice, SpliceRelay};

/// Most slices of memory that one call sends.
const MAX_SLICES: usize = 16;

impl Transport {
    /// Sends the memory slices at the front of `slices`, or bytes of the segment whose
    /// placeholder is at the front. Returns the number of bytes sent.
    ///
    /// # Errors
    /// Those of the socket and of the segment's source; `TimedOut` if the client receives
    /// nothing. The connection must be closed after an error.
    pub(super) fn send(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.set_unflushed();
        // hyper copied a placeholder: the zeros are in a buffer that looks like plain bytes and
        // must never be sent.
        if self.shared.send_queue.is_miscounted() {
            return Poll::Ready(Err(io::Error::other(
                "internal error: hyper copied placeholder bytes; closing the connection",
            )));
        }
        let is_memory = |slice: &&IoSlice<'_>| !is_placeholder(slice);
        let memory = slices.iter().take(MAX_SLICES).take_while(is_memory).count();
        let sent = if memory == 0 && !slices.is_empty() {
            match self.shared.send_queue.front() {
                Some(segment) => self.send_segment(cx, &segment, slices[0].len()),
                None => Poll::Ready(Err(io::Error::other(
                    "internal error: a placeholder has no segment; closing the connection",
                ))),
            }
        } else {
            self.send_memory(cx, &slices[..memory], memory < slices.len())
        };
        match &sent {
            Poll::Ready(Ok(bytes)) => self.slot.spend(*bytes),
            // A connection that waits for something else must not block the queue.
            _ => self.slot.end(),
        }
        sent
    }

    fn send_memory(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more_follows: bool,
    ) -> Poll<io::Result<usize>> {
        if slices.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.poll_slot(cx, false))?;
        let socket = Rc::clone(&self.stream);
        let sent = ready!(self.when_writable(cx, || {
            let sent = send_slices(&*socket, slices, more_follows)?;
            let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
            Ok((sent, sent < wanted))
        }));
        self.is_corked = more_follows;
        Poll::Ready(sent)
    }

    /// Passes on the result of polling a source of bytes. If the source is pending, flushes the
    /// partial packet that the kernel holds back.
    ///
    /// The previous call announced more data, so the kernel would wait up to 200 ms for a full
    /// packet (tcp(7), TCP_CORK).
    fn uncork_if_pending<T>(&mut self, polled: Poll<T>) -> Poll<T> {
        if polled.is_pending() && mem::take(&mut self.is_corked) {
            // Setting TCP_NODELAY again flushes at once. An error means that the socket has
            // failed, which the next send reports.
            let _ = self.stream.set_nodelay(true);
        }
        polled
    }

    fn send_segment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment,
        placeholder_bytes: usize,
    ) -> Poll<io::Result<usize>> {
        let left = usize::try_from(segment.left_bytes()).unwrap_or(usize::MAX);
        let (sent_before, most) = (segment.sent_bytes(), placeholder_bytes.min(left));
        let sent = match segment.source() {
            BodySource::File(slice) => self.send_file(cx, slice, sent_before, most),
            BodySource::PartialFile(slice) => {
                self.send_partial_file(cx, &mut slice.borrow_mut(), sent_before, most)
            }
            BodySource::Relay(relay) => self.send_relayed(cx, &mut relay.borrow_mut(), most),
        };
        let sent = ready!(sent)?;
        segment.count_sent(sent as u64);
        Poll::Ready(Ok(sent))
    }

    /// Waits until the socket is writable, and then for a slot of the fair queue.
    ///
    /// Only writable connections may queue: hyper polls several times per wake-up, so a blocked
    /// connection would be queued again as soon as it was granted a slot, for ever.
    fn poll_slot(&mut self, cx: &mut Context<'_>, is_long: bool) -> Poll<io::Result<()>> {
        if self.has_sent && self.stream.poll_write_ready(cx)?.is_pending() {
            return self.poll_stalled(cx);
        }
        self.slot.poll(cx, is_long).map(Ok)
    }

    fn send_file(
        &mut self,
        cx: &mut Context<'_>,
        slice: &FileSlice,
        sent_before: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        // Before the slot: a connection that waits for the disk must not hold one.
        let resident = self.readahead.poll_ready(cx, slice, sent_before);
        let resident_bytes = ready!(self.uncork_if_pending(resident))?;
        ready!(self.poll_slot(cx, true))?;
        let position = slice.offset + sent_before;
        let most = most.min(self.slot.left_bytes());
        let wanted = whole_pages(position, most, slice.len - sent_before);
        let wanted = usize::try_from(resident_bytes).map_or(wanted, |ready| wanted.min(ready));
        let socket = Rc::clone(&self.stream);
        let sent = ready!(self.when_writable(cx, || {
            // A short count does not mean that the socket is full: a completion of io_uring on
            // this thread ends sendfile early, as a signal would. Waiting for writability then
            // would wait for an event that may never come.
            let sent = send_file(&*socket, &*slice.file, position, wanted)?;
            Ok((sent, false))
        }));
        self.is_corked = false;
        Poll::Ready(sent)
    }

    /// Sends the available bytes of a file that is still being written.
    fn send_partial_file(
        &mut self,
        cx: &mut Context<'_>,
        slice: &mut PartialSlice,
        sent_before: u64,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let available = slice.poll_available(cx, sent_before);
        match self.uncork_if_pending(available) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(available)) => {
                let left = usize::try_from(available.len - sent_before).unwrap_or(usize::MAX);
                self.send_file(cx, available, sent_before, most.min(left))
            }
            Poll::Ready(Err(error)) => {
                // The head with status 200 is sent, so only an aborted connection tells the
                // client that the image is incomplete.
                tracing::error!(
                    ?error,
                    sent_bytes = sent_before,
                    "download aborted: the cache fill that it reads from failed"
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
        // First wait without a slot until the other server has sent something, then take a slot,
        // then fill the pipe: a slot is never held while the other server is slow.
        let arrived = relay.poll_arrived(cx);
        ready!(self.uncork_if_pending(arrived)).map_err(|error| aborted(error, relay))?;
        ready!(self.poll_slot(cx, true))?;
        let filled = relay.poll_filled(cx);
        ready!(self.uncork_if_pending(filled)).map_err(|error| aborted(error, relay))?;
        let socket = Rc::clone(&self.stream);
        let sent =
            ready!(self.when_writable(cx, || Ok((relay.send(socket.as_fd(), most)?, false))))?;
        self.is_corked = relay.left_bytes() > 0;
        if relay.is_drained() {
            self.slot.use_up();
        }
        Poll::Ready(Ok(sent))
    }

    /// Runs a system call that sends, once the socket is writable. The call returns the number
    /// of bytes sent and true if the socket is full now.
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
                // Reporting `WouldBlock` clears the runtime's readiness, which saves a call that
                // would fail.
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

    /// Waits for a socket that is not writable, until the write-stall limit.
    fn poll_stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(limit) = self.timeouts.write_stall else {
            return Poll::Pending;
        };
        let timer = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client receives no data",
        )))
    }
}

/// Logs that a relayed download fails. The head with status 200 is sent, so only an aborted
/// connection tells the client that the image is incomplete.
fn aborted(error: Error, relay: &SpliceRelay) -> io::Error {
    let left_bytes = relay.left_bytes();
    tracing::error!(?error, left_bytes, "download aborted: the store failed");
    io::Error::other(error)
}
