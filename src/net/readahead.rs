//! Reading a file ahead of its reader, off the worker.

use std::fs::File;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::transfer::page_cache::{Residency, WINDOW_BYTES, read_in, read_in_unknown, residency};
use crate::transfer::{BlockingPool, FileSlice};

type ReadIn = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Makes sure that what is to be sent next is in memory.
pub(super) struct Readahead {
    blocking: BlockingPool,
    /// Bytes up to here can be sent without waiting: known for one slice at a time.
    ready_until: u64,
    /// A window being read in by another thread.
    reading: Option<ReadIn>,
}

impl Readahead {
    pub(super) fn new(blocking: BlockingPool) -> Self {
        Self {
            blocking,
            ready_until: 0,
            reading: None,
        }
    }

    /// Bytes that can be sent now without waiting for a disk, from behind the `moved` first
    /// ones of the slice on; at least one when ready.
    pub(super) fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        slice: &FileSlice,
        moved: u64,
    ) -> Poll<io::Result<u64>> {
        if moved == 0 {
            // A new slice may be of another file; what was known says nothing about it.
            if self.reading.is_none() {
                self.ready_until = 0;
            }
        }
        let (position, left) = (slice.offset + moved, slice.len - moved);
        if position < self.ready_until {
            return Poll::Ready(Ok(self.ready_until - position));
        }
        let window = left.min(WINDOW_BYTES);
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

    /// Has another thread read a window in.
    fn start(
        &self,
        slice: &FileSlice,
        position: u64,
        window: u64,
        read: fn(&File, u64, u64) -> io::Result<()>,
    ) -> ReadIn {
        let (file, blocking) = (Arc::clone(&slice.file), self.blocking.clone());
        Box::pin(async move { blocking.run(move || read(&file, position, window)).await })
    }
}
