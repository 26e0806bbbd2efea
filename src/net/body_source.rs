//! Body data that the kernel sends, so that it never passes through hyper or user space.
//!
//! hyper accepts bodies in memory only. For a file, a [`BodyChunk`] therefore shows hyper a
//! slice of one shared block of zeros (the placeholder) of the right length. The transport below
//! hyper recognises the placeholder by its address and sends as many bytes of the file with
//! sendfile(2), or of another server's socket with splice(2). hyper keeps the framing, the order
//! and the back-pressure.
//!
//! If hyper ever copied the zeros instead of passing the slice on, they would be sent as image
//! data. Both sides therefore count: the bytes that hyper consumed of a chunk and the bytes that
//! the transport sent for it must be equal after every step. The transport closes a connection
//! on which they differ before it sends another byte.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::completion::Completion;
use crate::metrics::TransferProgress;
use crate::transfer::{FileSlice, PartialSlice, SpliceRelay};

/// Largest slice that hyper sees at once, in bytes. It bounds what one system call sends: large
/// enough to be worth the call, small enough to be fair to other connections.
const PLACEHOLDER_BYTES: usize = 1024 * 1024;

/// Stands for file data in hyper's buffers. It is never read, so it costs address space only.
static PLACEHOLDER: [u8; PLACEHOLDER_BYTES] = [0; PLACEHOLDER_BYTES];

/// Returns true if a slice that hyper passes to the transport is part of the placeholder.
pub(super) fn is_placeholder(slice: &[u8]) -> bool {
    PLACEHOLDER.as_ptr_range().contains(&slice.as_ptr())
}

/// The origin of a segment's bytes.
pub(super) enum BodySource {
    /// A range of a file.
    File(FileSlice),
    /// A range of a file that another task is still writing.
    PartialFile(RefCell<PartialSlice>),
    /// A range of an object on another server.
    Relay(RefCell<SpliceRelay>),
}

/// A run of body bytes that the transport sends and hyper never sees.
pub(super) struct Segment {
    source: BodySource,
    len: u64,
    /// Bytes that the transport sent.
    sent_bytes: Cell<u64>,
    /// Bytes of the placeholder that hyper consumed.
    consumed_bytes: Cell<u64>,
    /// Counts the bytes for the status page as they are sent.
    progress: Option<Arc<TransferProgress>>,
}

impl Segment {
    fn new(source: BodySource, progress: Option<Arc<TransferProgress>>) -> Self {
        let len = match &source {
            BodySource::File(slice) => slice.len,
            BodySource::PartialFile(slice) => slice.borrow().len(),
            BodySource::Relay(relay) => relay.borrow().left_bytes(),
        };
        Self {
            source,
            len,
            sent_bytes: Cell::new(0),
            consumed_bytes: Cell::new(0),
            progress,
        }
    }

    pub(super) fn source(&self) -> &BodySource {
        &self.source
    }

    /// Returns the number of bytes that were sent.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent_bytes.get()
    }

    /// Returns the number of bytes that are left to send.
    pub(super) fn left_bytes(&self) -> u64 {
        self.len - self.sent_bytes.get()
    }

    /// Counts bytes that the transport sent.
    pub(super) fn count_sent(&self, bytes: u64) {
        self.sent_bytes.set(self.sent_bytes.get() + bytes);
        if let Some(progress) = &self.progress {
            progress.add(bytes);
        }
    }
}

/// The segments of one connection, in the order in which hyper writes their placeholders.
#[derive(Default)]
pub(super) struct SendQueue {
    segments: RefCell<VecDeque<Rc<Segment>>>,
    miscounted: Cell<bool>,
    /// Response bodies that hyper has dropped, sent or not.
    finished_bodies: Cell<u64>,
}

impl SendQueue {
    /// Appends a segment. Returns the chunk that stands for it in the body that hyper polls.
    pub(super) fn push(
        self: &Rc<Self>,
        source: BodySource,
        completion: Option<Completion>,
        progress: Option<Arc<TransferProgress>>,
    ) -> BodyChunk {
        let segment = Rc::new(Segment::new(source, progress));
        self.segments.borrow_mut().push_back(Rc::clone(&segment));
        BodyChunk::Placeholder(Placeholder {
            segment,
            queue: Rc::clone(self),
            completion,
        })
    }

    /// Returns the segment whose bytes are sent next.
    pub(super) fn front(&self) -> Option<Rc<Segment>> {
        self.segments.borrow().front().cloned()
    }

    /// Removes a segment when hyper drops its chunk. This closes the segment's file.
    fn remove(&self, done: &Rc<Segment>) {
        let mut segments = self.segments.borrow_mut();
        segments.retain(|segment| !Rc::ptr_eq(segment, done));
    }

    /// Counts a response body that hyper has dropped.
    pub(super) fn count_finished_body(&self) {
        self.finished_bodies.set(self.finished_bodies.get() + 1);
    }

    /// Returns the number of response bodies that hyper has dropped.
    pub(super) fn finished_bodies(&self) -> u64 {
        self.finished_bodies.get()
    }

    /// Returns true if hyper consumed placeholder bytes for which nothing was sent.
    pub(super) fn is_miscounted(&self) -> bool {
        self.miscounted.get()
    }
}

/// A part of a response body, as hyper holds it.
pub enum BodyChunk {
    /// Bytes in memory.
    Memory(Bytes),
    /// Zeros that stand for the bytes of a segment.
    Placeholder(Placeholder),
}

/// Stands for a segment in hyper's buffers. Dropping it removes the segment.
pub struct Placeholder {
    segment: Rc<Segment>,
    queue: Rc<SendQueue>,
    completion: Option<Completion>,
}

impl Placeholder {
    fn remaining(&self) -> usize {
        let left = self.segment.len - self.segment.consumed_bytes.get();
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn advance(&self, bytes: usize) {
        let consumed = self.segment.consumed_bytes.get() + bytes as u64;
        self.segment.consumed_bytes.set(consumed);
        // The transport sends first and hyper consumes what it reports. Any difference means
        // that hyper copied zeros into a buffer of its own.
        if consumed != self.segment.sent_bytes.get() {
            self.queue.miscounted.set(true);
        }
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        self.queue.remove(&self.segment);
        if let Some(done) = self.completion.take() {
            done.run(self.segment.sent_bytes(), self.segment.left_bytes() == 0);
        }
    }
}

impl Buf for BodyChunk {
    fn remaining(&self) -> usize {
        match self {
            BodyChunk::Memory(bytes) => bytes.len(),
            BodyChunk::Placeholder(chunk) => chunk.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            BodyChunk::Memory(bytes) => bytes,
            BodyChunk::Placeholder(chunk) => {
                &PLACEHOLDER[..chunk.remaining().min(PLACEHOLDER_BYTES)]
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        match self {
            BodyChunk::Memory(memory) => memory.advance(bytes),
            BodyChunk::Placeholder(chunk) => chunk.advance(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(len: u64) -> (Rc<SendQueue>, BodyChunk) {
        let queue = Rc::<SendQueue>::default();
        let slice = FileSlice {
            file: Arc::new(tempfile::tempfile().unwrap()),
            offset: 10,
            len,
        };
        let chunk = queue.push(BodySource::File(slice), None, None);
        (queue, chunk)
    }

    #[test]
    fn chunk_shows_placeholder_of_its_length() {
        let (queue, mut chunk) = chunk(PLACEHOLDER_BYTES as u64 + 5);
        assert_eq!(chunk.chunk().len(), PLACEHOLDER_BYTES);
        assert!(is_placeholder(chunk.chunk()));
        assert!(!is_placeholder(b"plain"));
        let segment = queue.front().unwrap();
        segment.count_sent(PLACEHOLDER_BYTES as u64);
        chunk.advance(PLACEHOLDER_BYTES);
        assert_eq!(chunk.chunk().len(), 5);
        assert!(is_placeholder(chunk.chunk()));
        assert_eq!(segment.sent_bytes(), PLACEHOLDER_BYTES as u64);
        assert!(!queue.is_miscounted());
    }

    #[test]
    fn copied_placeholder_is_detected() {
        let (queue, mut chunk) = chunk(100);
        let copied = chunk.copy_to_bytes(7);
        assert_eq!(copied.len(), 7);
        assert!(queue.is_miscounted());
    }

    #[test]
    fn dropped_chunk_removes_its_segment() {
        let (queue, chunk) = chunk(100);
        assert!(queue.front().is_some());
        drop(chunk);
        assert!(queue.front().is_none());
    }
}
