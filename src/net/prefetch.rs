//! Reading a file ahead of its reader, off the worker.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::segment::Segment;
use crate::transfer::Blocking;
use crate::transfer::page_cache::{WINDOW_BYTES, is_resident, read_in};

type ReadIn = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Makes sure that what is to be sent next is in memory.
pub(super) struct Prefetch {
    blocking: Blocking,
    /// Bytes up to here can be sent without waiting: known for one segment at a time.
    ready_until: u64,
    /// A window being read in by another thread.
    reading: Option<ReadIn>,
}

impl Prefetch {
    pub(super) fn new(blocking: Blocking) -> Self {
        Self {
            blocking,
            ready_until: 0,
            reading: None,
        }
    }

    /// Bytes of the segment that can be sent now without waiting for a disk; at least one
    /// when ready.
    pub(super) fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) -> Poll<io::Result<u64>> {
        if segment.is_untouched() {
            // A new segment may be of another file; what was known says nothing about it.
            if self.reading.is_none() {
                self.ready_until = 0;
            }
        }
        let position = segment.position();
        if position < self.ready_until {
            return Poll::Ready(Ok(self.ready_until - position));
        }
        let window = segment.left().min(WINDOW_BYTES);
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None if is_resident(segment.file(), position, window) => {
                self.ready_until = position + window;
                return Poll::Ready(Ok(window));
            }
            None => {
                let (file, blocking) = (Arc::clone(segment.file()), self.blocking.clone());
                let read = move || read_in(&file, position, window);
                Box::pin(async move { blocking.run(read).await })
            }
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
}
