//! A file that is read while it is written.
//!
//! One writes, in any order; others send it from the same file, and wait only for bytes that
//! are not there. The last bytes of the file are kept back until the writer says that all
//! are right, so that nobody ever holds a complete wrong file. Should they be wrong, the
//! writer may begin again: who has had none of them goes on with the new file.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;

use super::extents::Extents;
use super::file_slice::FileSlice;
use crate::error::{Error, Kind, Result};

/// Bytes at the file's end that are kept back until all are known to be right.
const KEPT_BACK_BYTES: u64 = 256 * 1024;

/// A reader that waits is woken for this many bytes, unless [`PartialFile::wake_readers`] comes first:
/// pieces are what costs.
const WORTH_WAKING_BYTES: u64 = 1024 * 1024;

/// A file of known length on its way.
#[derive(Debug)]
pub struct PartialFile {
    len: u64,
    inner: Mutex<Inner>,
    /// Told when bytes have come, for the one who checks them.
    grown: Notify,
}

#[derive(Debug)]
struct Inner {
    /// `None` between two attempts.
    file: Option<Arc<File>>,
    /// Counts the files that were begun.
    attempt: u32,
    extents: Extents,
    end: End,
    waiting: HashMap<u64, Waiting>,
    next_reader: u64,
}

/// What became of it.
#[derive(Debug)]
enum End {
    Open,
    Right,
    Broken(Kind, String),
}

/// A reader for whom nothing is there.
#[derive(Debug)]
struct Waiting {
    position: u64,
    /// Wake it when all bytes up to here are there.
    until: u64,
    waker: Waker,
}

impl PartialFile {
    /// A file of `len` bytes of which none is there.
    pub fn new(file: Arc<File>, len: u64) -> Arc<Self> {
        Arc::new(Self {
            len,
            inner: Mutex::new(Inner {
                file: Some(file),
                attempt: 0,
                extents: Extents::default(),
                end: End::Open,
                waiting: HashMap::new(),
                next_reader: 0,
            }),
            grown: Notify::new(),
        })
    }

    /// `len` bytes from `offset` on, for one reader.
    pub fn slice(self: &Arc<Self>, offset: u64, len: u64) -> PartialSlice {
        let reader = {
            let mut inner = self.lock();
            inner.next_reader += 1;
            inner.next_reader
        };
        PartialSlice {
            growing: Arc::clone(self),
            reader,
            offset,
            len,
            attempt: 0,
            there: None,
        }
    }

    /// Bytes were written.
    pub fn mark_written(&self, offset: u64, len: u64) {
        let mut inner = self.lock();
        inner.extents.add(offset, offset + len);
        let wakers = inner.take_wakers(|inner, waiting| {
            let most = inner.readable_end(waiting.position, self.len);
            most >= waiting.until
        });
        drop(inner);
        self.grown.notify_one();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes everybody for whom anything is there. To be called now and then, for files that
    /// grow slowly.
    pub fn wake_readers(&self) {
        let mut inner = self.lock();
        let wakers = inner.take_wakers(|inner, waiting| {
            inner.readable_end(waiting.position, self.len) > waiting.position
        });
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// All bytes are there and right: the last may go out.
    pub fn complete(&self) {
        self.end_with(End::Right);
    }

    /// It will never be complete. Readers are told so, unless something was said before.
    pub fn fail(&self, error: &Error) {
        self.end_with(End::Broken(error.kind(), error.message().to_owned()));
    }

    fn end_with(&self, end: End) {
        let mut inner = self.lock();
        if matches!(inner.end, End::Open) {
            inner.end = end;
        }
        let wakers = inner.take_wakers(|_, _| true);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The bytes so far are worth nothing. Readers who have had some are broken off; the
    /// others let go of the file and wait for [`PartialFile::restart`].
    pub fn reset(&self) {
        let mut inner = self.lock();
        inner.file = None;
        inner.attempt += 1;
        inner.extents = Extents::default();
        let wakers = inner.take_wakers(|_, _| true);
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Another file takes the place of the one that was given up.
    pub fn restart(&self, file: Arc<File>) {
        self.lock().file = Some(file);
    }

    /// The whole length, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes even when it is complete.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes are there.
    pub fn available_bytes(&self) -> u64 {
        self.lock().extents.bytes()
    }

    /// Where the first bytes are that a reader waits for, in order.
    pub fn waiting_positions(&self) -> Vec<u64> {
        let inner = self.lock();
        let mut positions: Vec<u64> = inner.waiting.values().map(|w| w.position).collect();
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// Whether the byte at `position` has come.
    pub fn has_byte(&self, position: u64) -> bool {
        self.lock().extents.end_of(position) > position
    }

    /// Waits until there are bytes from `position` on, and says up to where. For the one who
    /// checks them; nothing is kept back.
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
        // Nothing between lock and unlock leaves the parts at odds.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Where the bytes end that a reader may have from `position` on.
    fn readable_end(&self, position: u64, len: u64) -> u64 {
        let end = self.extents.end_of(position);
        match self.end {
            End::Right => end,
            End::Open | End::Broken(..) => end.min(len.saturating_sub(KEPT_BACK_BYTES)),
        }
    }

    fn take_wakers(&mut self, chosen: impl Fn(&Self, &Waiting) -> bool) -> Vec<Waker> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let taken = waiting.extract_if(|_, waiting| chosen(self, waiting));
        let wakers = taken.map(|(_, waiting)| waiting.waker).collect();
        self.waiting = waiting;
        wakers
    }
}

/// A part of a growing file, on its way to one reader.
#[derive(Debug)]
pub struct PartialSlice {
    growing: Arc<PartialFile>,
    /// Tells this reader from the others.
    reader: u64,
    offset: u64,
    len: u64,
    /// The attempt whose bytes it sends.
    attempt: u32,
    /// What it may send, from its offset on.
    there: Option<FileSlice>,
}

impl PartialSlice {
    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What can be sent so far, the `moved` first bytes included; more than those. Waits for
    /// bytes that are not there.
    ///
    /// # Errors
    /// `Unavailable` or `Internal`: the rest will never come, or what came was wrong.
    pub fn poll_available(&mut self, cx: &mut Context<'_>, moved: u64) -> Poll<Result<&FileSlice>> {
        let known = self.there.as_ref().map_or(0, |slice| slice.len);
        if known <= moved {
            let found = {
                let growing = Arc::clone(&self.growing);
                let mut inner = growing.lock();
                self.find(&mut inner, cx, moved)
            };
            match found {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(slice) => self.there = Some(slice?),
            }
        }
        // It is there: found above, or before.
        match &self.there {
            Some(slice) => Poll::Ready(Ok(slice)),
            None => Poll::Pending,
        }
    }

    fn find(&mut self, inner: &mut Inner, cx: &Context<'_>, moved: u64) -> Poll<Result<FileSlice>> {
        if inner.attempt != self.attempt {
            self.there = None;
            self.attempt = inner.attempt;
            if moved > 0 {
                return Poll::Ready(Err(wrong()));
            }
        }
        let position = self.offset + moved;
        let end = inner.readable_end(position, self.growing.len);
        match (&inner.file, &inner.end) {
            (Some(file), End::Open | End::Right) if end > position => {
                inner.waiting.remove(&self.reader);
                Poll::Ready(Ok(FileSlice {
                    file: Arc::clone(file),
                    offset: self.offset,
                    len: (end - self.offset).min(self.len),
                }))
            }
            (_, End::Broken(kind, message)) => Poll::Ready(Err(Error::new(*kind, message.clone()))),
            _ => {
                let until = (self.offset + self.len).min(position + WORTH_WAKING_BYTES);
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
        self.growing.lock().waiting.remove(&self.reader);
    }
}

fn wrong() -> Error {
    Error::internal("what was read so far is not the image: its MD5 is another")
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const LEN: u64 = 3 * 1024 * 1024;

    fn growing() -> Arc<PartialFile> {
        PartialFile::new(Arc::new(tempfile::tempfile().unwrap()), LEN)
    }

    fn there(slice: &mut PartialSlice, moved: u64) -> Poll<Result<u64>> {
        let mut cx = Context::from_waker(Waker::noop());
        let polled = slice.poll_available(&mut cx, moved);
        polled.map(|there| there.map(|slice| slice.len))
    }

    #[test]
    fn a_part_waits_for_its_own_bytes_only() {
        let growing = growing();
        let mut part = growing.slice(1000, 500);
        assert!(there(&mut part, 0).is_pending());
        assert_eq!(growing.waiting_positions(), [1000]);
        growing.mark_written(0, 1000);
        assert!(there(&mut part, 0).is_pending());
        growing.mark_written(1000, 100);
        assert!(matches!(there(&mut part, 0), Poll::Ready(Ok(100))));
        assert!(there(&mut part, 100).is_pending());
        growing.mark_written(1100, 5000);
        assert!(matches!(there(&mut part, 100), Poll::Ready(Ok(500))));
        drop(part);
        assert!(growing.waiting_positions().is_empty());
    }

    #[tokio::test]
    async fn the_last_bytes_wait_for_the_verdict() {
        let growing = growing();
        let mut whole = growing.slice(0, LEN);
        growing.mark_written(0, LEN);
        let kept_back = LEN - KEPT_BACK_BYTES;
        assert!(matches!(there(&mut whole, 0), Poll::Ready(Ok(len)) if len == kept_back));
        assert!(there(&mut whole, kept_back).is_pending());
        let waits = tokio::spawn(async move {
            let there = poll_fn(|cx| {
                whole
                    .poll_available(cx, kept_back)
                    .map_ok(|slice| slice.len)
            });
            there.await.map_err(|error| error.kind())
        });
        tokio::task::yield_now().await;
        growing.complete();
        assert_eq!(waits.await.unwrap(), Ok(LEN));
    }

    #[test]
    fn after_a_wrong_file_only_newcomers_go_on() {
        let growing = growing();
        let (mut begun, mut fresh) = (growing.slice(0, LEN), growing.slice(0, LEN));
        growing.mark_written(0, 4096);
        assert!(matches!(there(&mut begun, 0), Poll::Ready(Ok(4096))));
        assert!(matches!(there(&mut fresh, 0), Poll::Ready(Ok(4096))));
        growing.reset();
        assert!(matches!(there(&mut begun, 4096), Poll::Ready(Err(_))));
        let mut late = growing.slice(0, LEN);
        assert!(there(&mut late, 0).is_pending());
        growing.restart(Arc::new(tempfile::tempfile().unwrap()));
        growing.mark_written(0, 100);
        assert!(matches!(there(&mut late, 0), Poll::Ready(Ok(100))));
    }

    #[test]
    fn what_is_broken_off_is_told() {
        let growing = growing();
        let mut whole = growing.slice(0, LEN);
        growing.mark_written(0, 10);
        growing.fail(&Error::internal("the disk"));
        assert!(matches!(there(&mut whole, 0), Poll::Ready(Err(_))));
        growing.complete();
        assert!(matches!(there(&mut whole, 0), Poll::Ready(Err(_))));
    }
}
