//! Reads windows of a file into the page cache before the worker sends them, on another thread,
//! so that sendfile(2) never blocks the worker (see [`page_cache`](crate::transfer::page_cache)).

use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::transfer::page_cache::{Residency, WINDOW_BYTES, read_in, read_in_unknown, residency};
use crate::transfer::{BlockingPool, FileSlice};

type WindowRead = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Ensures that the next bytes to send are in memory. One per connection.
pub(super) struct Readahead {
    blocking: BlockingPool,
    /// File offset up to which the current slice can be sent without waiting.
    ready_until: u64,
    /// A window that another thread is reading.
    reading: Option<WindowRead>,
}

impl Readahead {
    pub(super) fn new(blocking: BlockingPool) -> Self {
        Self {
            blocking,
            ready_until: 0,
            reading: None,
        }
    }

    /// Returns the number of bytes after the first `sent` bytes of the slice that can be sent
    /// without waiting for a disk; at least one.
    ///
    /// # Errors
    /// Those of pread(2).
    pub(super) fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        slice: &FileSlice,
        sent: u64,
    ) -> Poll<io::Result<u64>> {
        if sent == 0 {
            // A new slice may belong to another file. While a window is being read, the slice is
            // still the same one: it waits for its first bytes.
            if self.reading.is_none() {
                self.ready_until = 0;
            }
        }
        let (position, left) = (slice.offset + sent, slice.len - sent);
        if position < self.ready_until {
            return Poll::Ready(Ok(self.ready_until - position));
        }
        let window = left.min(WINDOW_BYTES);
        // A read that is in progress belongs to this position: nothing is sent before it ends.
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => match residency(&slice.file, position, window) {
                Residency::Always => {
                    self.ready_until = u64::MAX;
                    return Poll::Ready(Ok(left));
                }
                Residency::Resident => {
                    self.ready_until = position + window;
                    return Poll::Ready(Ok(window));
                }
                Residency::Absent => self.start(slice, position, window, read_in),
                Residency::Unknown => self.start(slice, position, window, read_in_unknown),
            },
        };
        match reading.as_mut().poll(cx) {
            Poll::Pending => {
                self.reading = Some(reading);
                Poll::Pending
            }
            Poll::Ready(result) => {
                result?;
                self.ready_until = position + window;
                Poll::Ready(Ok(window))
            }
        }
    }

    /// Starts to read a window on another thread.
    fn start(
        &self,
        slice: &FileSlice,
        position: u64,
        window: u64,
        read: fn(&File, u64, u64) -> io::Result<()>,
    ) -> WindowRead {
        let (file, blocking) = (Arc::clone(&slice.file), self.blocking.clone());
        Box::pin(async move { blocking.run(move || read(&file, position, window)).await })
    }
}
