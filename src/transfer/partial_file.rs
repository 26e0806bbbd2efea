//! A file that readers send while one writer still writes it: a cache fill.
//!
//! The writer writes ranges in any order; each reader waits only for the bytes it needs next.
//! The last [`WITHHELD_BYTES`] are withheld until the writer has verified the checksum, so that
//! no client receives a complete file with wrong data. If the checksum is wrong, the writer may
//! restart with a new file: readers that have sent nothing continue with it, the others fail.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::extents::Extents;
use super::file_slice::FileSlice;
use crate::error::{Error, Kind, Result};

/// Bytes at the end of the file that are withheld until the checksum is verified.
const WITHHELD_BYTES: u64 = 256 * 1024;

/// A waiting reader is woken when this many bytes are available, or by
/// [`PartialFile::wake_readers`]: the cost is per wake-up and system call, not per byte.
const WAKE_BYTES: u64 = 1024 * 1024;

/// A file of known length that is being written.
#[derive(Debug)]
pub struct PartialFile {
    len: u64,
    inner: Mutex<Inner>,
    /// Notifies the task that hashes the file of new bytes.
    grown: Notify,
}

#[derive(Debug)]
struct Inner {
    /// `None` between two attempts.
    file: Option<Arc<File>>,
    /// Number of the attempt, from 0. It tells readers that the file was replaced.
    attempt: u32,
    extents: Extents,
    end: End,
    waiting: HashMap<u64, Waiting>,
    next_reader: u64,
}

/// The result of writing the file.
#[derive(Debug)]
enum End {
    Pending,
    Verified,
    Failed(Kind, String),
}

/// A reader that waits for bytes.
#[derive(Debug)]
struct Waiting {
    position: u64,
    /// The reader is woken when all bytes up to here are available.
    until: u64,
    waker: Waker,
}

impl PartialFile {
    /// Creates a file of `len` bytes, none of which is written.
    pub fn new(file: Arc<File>, len: u64) -> Arc<Self> {
        Arc::new(Self {
            len,
            inner: Mutex::new(Inner {
                file: Some(file),
                attempt: 0,
                extents: Extents::default(),
                end: End::Pending,
                waiting: HashMap::new(),
                next_reader: 0,
            }),
            grown: Notify::new(),
        })
    }

    /// Returns a range of the file for one reader.
    pub fn slice(self: &Arc<Self>, offset: u64, len: u64) -> PartialSlice {
        let reader = {
            let mut inner = self.lock();
            inner.next_reader += 1;
            inner.next_reader
        };
        PartialSlice {
            partial: Arc::clone(self),
            reader,
            offset,
            len,
            attempt: 0,
            available: None,
        }
    }

    /// Records that a range was written, and wakes the readers that have enough bytes.
    pub fn mark_written(&self, offset: u64, len: u64) {
        let mut inner = self.lock();
        inner.extents.add(offset, offset + len);
        let wakers = inner.take_wakers(|inner, waiting| {
            let most = inner.readable_end(waiting.position, self.len);
            most >= waiting.until
        });
        drop(inner);
        // Stores a permit if the hashing task is not waiting, so the notification is not lost.
        self.grown.notify_one();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes every reader for which at least one byte is available. The writer calls it
    /// periodically, for files that grow slowly.
    pub fn wake_readers(&self) {
        let mut inner = self.lock();
        let wakers = inner.take_wakers(|inner, waiting| {
            inner.readable_end(waiting.position, self.len) > waiting.position
        });
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Releases the withheld bytes. All bytes must be written and verified.
    pub fn complete(&self) {
        self.end_with(End::Verified);
    }

    /// Fails the readers with an error, unless the file was completed or has failed before.
    pub fn fail(&self, error: &Error) {
        self.end_with(End::Failed(error.kind(), error.message().to_owned()));
    }

    fn end_with(&self, end: End) {
        let mut inner = self.lock();
        // The first result counts: a failure after completion must not withdraw the last bytes.
        if matches!(inner.end, End::Pending) {
            inner.end = end;
        }
        let wakers = inner.take_wakers(|_, _| true);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Discards the file and its ranges. Readers that have sent bytes of it fail; the others wait
    /// for [`PartialFile::restart`].
    pub fn reset(&self) {
        let mut inner = self.lock();
        inner.file = None;
        inner.attempt += 1;
        inner.extents = Extents::default();
        let wakers = inner.take_wakers(|_, _| true);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Sets the file of the next attempt.
    pub fn restart(&self, file: Arc<File>) {
        self.lock().file = Some(file);
    }

    /// Returns the length of the complete file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns true if the complete file is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of bytes written so far.
    pub fn available_bytes(&self) -> u64 {
        self.lock().extents.bytes()
    }

    /// Returns the positions that readers wait for, sorted. The writer fetches them first.
    pub fn waiting_positions(&self) -> Vec<u64> {
        let inner = self.lock();
        let mut positions: Vec<u64> = inner.waiting.values().map(|w| w.position).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// Returns true if the byte at `position` is written.
    pub fn has_byte(&self, position: u64) -> bool {
        self.lock().extents.end_of(position) > position
    }

    /// Waits until the byte at `position` is written. Returns the end of the contiguous bytes
    /// from there. For the task that hashes the file, so no bytes are withheld.
    pub async fn available_from(&self, position: u64) -> u64 {
        loop {
            let end = self.lock().extents.end_of(position);
            if end > position {
                return end;
            }
            self.grown.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is used: no critical section can panic with the fields inconsistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Returns the end of the contiguous bytes from `position` that a reader may send.
    fn readable_end(&self, position: u64, len: u64) -> u64 {
        let end = self.extents.end_of(position);
        match self.end {
            End::Verified => end,
            End::Pending | End::Failed(..) => end.min(len.saturating_sub(WITHHELD_BYTES)),
        }
    }

    /// Removes the chosen readers from the waiting ones. The caller wakes them after it has
    /// released the lock, because a woken task may poll at once and take the lock itself.
    fn take_wakers(&mut self, chosen: impl Fn(&Self, &Waiting) -> bool) -> Vec<Waker> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let taken = waiting.extract_if(|_, waiting| chosen(self, waiting));
        let wakers = taken.map(|(_, waiting)| waiting.waker).collect();
        self.waiting = waiting;
        wakers
    }
}

/// A range of a [`PartialFile`] for one reader.
#[derive(Debug)]
pub struct PartialSlice {
    partial: Arc<PartialFile>,
    /// Identifies this reader.
    reader: u64,
    offset: u64,
    len: u64,
    /// The attempt whose bytes the reader sends.
    attempt: u32,
    /// The available part of the range, from its beginning.
    available: Option<FileSlice>,
}

impl PartialSlice {
    /// Returns the length of the range in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns true if the range is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the available part of the range from its beginning; it is longer than the
    /// `sent` bytes that the caller has already sent. Waits until that is so.
    ///
    /// # Errors
    /// The error that the writer failed with; `Internal` if the bytes sent so far were wrong.
    pub fn poll_available(&mut self, cx: &mut Context<'_>, sent: u64) -> Poll<Result<&FileSlice>> {
        let known = self.available.as_ref().map_or(0, |slice| slice.len);
        if known <= sent {
            let found = {
                let partial = Arc::clone(&self.partial);
                let mut inner = partial.lock();
                self.find(&mut inner, cx, sent)
            };
            match found {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(slice) => self.available = Some(slice?),
            }
        }
        match &self.available {
            Some(slice) => Poll::Ready(Ok(slice)),
            None => Poll::Pending,
        }
    }

    fn find(&mut self, inner: &mut Inner, cx: &Context<'_>, sent: u64) -> Poll<Result<FileSlice>> {
        // The file was reset. Bytes that this reader has sent belong to the discarded file, and
        // must not be mixed with the new one.
        if inner.attempt != self.attempt {
            self.available = None;
            self.attempt = inner.attempt;
            if sent > 0 {
                return Poll::Ready(Err(wrong_data()));
            }
        }
        let position = self.offset + sent;
        let end = inner.readable_end(position, self.partial.len);
        match (&inner.file, &inner.end) {
            (Some(file), End::Pending | End::Verified) if end > position => {
                inner.waiting.remove(&self.reader);
                Poll::Ready(Ok(FileSlice {
                    file: Arc::clone(file),
                    offset: self.offset,
                    len: (end - self.offset).min(self.len),
                }))
            }
            (_, End::Failed(kind, message)) => Poll::Ready(Err(Error::new(*kind, message.clone()))),
            _ => {
                // Registered under the lock under which the writer looks for waiting readers, so
                // that no wake-up is lost.
                let until = (self.offset + self.len).min(position + WAKE_BYTES);
                let waiting = Waiting {
                    position,
                    until,
                    waker: cx.waker().clone(),
                };
                inner.waiting.insert(self.reader, waiting);
                Poll::Pending
            }
        }
    }
}

impl Drop for PartialSlice {
    fn drop(&mut self) {
        self.partial.lock().waiting.remove(&self.reader);
    }
}

fn wrong_data() -> Error {
    Error::internal("wrong data: the MD5 of the fetched image differs from its record")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LEN: u64 = 3 * 1024 * 1024;

    fn partial() -> Arc<PartialFile> {
        PartialFile::new(Arc::new(tempfile::tempfile().unwrap()), LEN)
    }

    fn available(slice: &mut PartialSlice, sent: u64) -> Poll<Result<u64>> {
        let mut cx = Context::from_waker(Waker::noop());
        let polled = slice.poll_available(&mut cx, sent);
        polled.map(|slice| slice.map(|slice| slice.len))
    }

    #[test]
    fn reader_waits_for_its_own_bytes_only() {
        let partial = partial();
        let mut part = partial.slice(1000, 500);
        assert!(available(&mut part, 0).is_pending());
        assert_eq!(partial.waiting_positions(), [1000]);
        partial.mark_written(0, 1000);
        assert!(available(&mut part, 0).is_pending());
        partial.mark_written(1000, 100);
        assert!(matches!(available(&mut part, 0), Poll::Ready(Ok(100))));
        assert!(available(&mut part, 100).is_pending());
        partial.mark_written(1100, 5000);
        assert!(matches!(available(&mut part, 100), Poll::Ready(Ok(500))));
        drop(part);
        assert!(partial.waiting_positions().is_empty());
    }

    #[tokio::test]
    async fn last_bytes_are_withheld_until_complete() {
        let partial = partial();
        let mut whole = partial.slice(0, LEN);
        partial.mark_written(0, LEN);
        let withheld = LEN - WITHHELD_BYTES;
        assert!(matches!(available(&mut whole, 0), Poll::Ready(Ok(len)) if len == withheld));
        assert!(available(&mut whole, withheld).is_pending());
        let waits = tokio::spawn(async move {
            let polled = poll_fn(|cx| whole.poll_available(cx, withheld).map_ok(|slice| slice.len));
            polled.await.map_err(|error| error.kind())
        });
        tokio::task::yield_now().await;
        partial.complete();
        assert_eq!(waits.await.unwrap(), Ok(LEN));
    }

    #[test]
    fn reset_fails_readers_that_have_sent_bytes() {
        let partial = partial();
        let (mut begun, mut fresh) = (partial.slice(0, LEN), partial.slice(0, LEN));
        partial.mark_written(0, 4096);
        assert!(matches!(available(&mut begun, 0), Poll::Ready(Ok(4096))));
        assert!(matches!(available(&mut fresh, 0), Poll::Ready(Ok(4096))));
        partial.reset();
        assert!(matches!(available(&mut begun, 4096), Poll::Ready(Err(_))));
        let mut late = partial.slice(0, LEN);
        assert!(available(&mut late, 0).is_pending());
        partial.restart(Arc::new(tempfile::tempfile().unwrap()));
        partial.mark_written(0, 100);
        assert!(matches!(available(&mut late, 0), Poll::Ready(Ok(100))));
    }

    #[test]
    fn failure_is_reported_to_readers() {
        let partial = partial();
        let mut whole = partial.slice(0, LEN);
        partial.mark_written(0, 10);
        partial.fail(&Error::internal("the disk"));
        assert!(matches!(available(&mut whole, 0), Poll::Ready(Err(_))));
        partial.complete();
        assert!(matches!(available(&mut whole, 0), Poll::Ready(Err(_))));
    }
}
