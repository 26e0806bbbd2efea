//! Bytes of a file or of another server, as hyper sees them and as the socket moves them.
//!
//! hyper knows bodies of memory only. A [`BodyChunk`] of a file therefore shows hyper a slice
//! of one shared block of zeros, of the right length; the transport below hyper recognises
//! that block by its address and moves as many bytes of the file with sendfile(2) instead,
//! or of an origin's socket with splice(2). hyper keeps the framing, the order and the
//! back-pressure.
//!
//! Should hyper ever copy those zeros instead of passing them on, they would go out as
//! image data. So both sides count: what hyper took off a piece and what the transport
//! moved for it must be equal after every step, and a connection on which they are not
//! is broken off before another byte leaves.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::completion::Completion;
use crate::metrics::TransferProgress;
use crate::transfer::{FileSlice, PartialSlice, SpliceRelay};

/// The most that one step moves: long enough to be worth its system call, short enough to
/// be fair to other connections.
const PLACEHOLDER_BYTES: usize = 1024 * 1024;

/// What hyper sees in place of a file's bytes. Never read, so it costs address space only.
static PLACEHOLDER: [u8; PLACEHOLDER_BYTES] = [0; PLACEHOLDER_BYTES];

/// Whether a slice that hyper hands down stands for bytes of a file.
pub(super) fn is_placeholder(slice: &[u8]) -> bool {
    PLACEHOLDER.as_ptr_range().contains(&slice.as_ptr())
}

/// Where a segment's bytes are.
pub(super) enum BodySource {
    /// In a file.
    File(FileSlice),
    /// In a file that is being written.
    PartialFile(RefCell<PartialSlice>),
    /// With another server.
    Relay(RefCell<SpliceRelay>),
}

/// Bytes on their way out through one connection that hyper never sees.
pub(super) struct Segment {
    road: BodySource,
    len: u64,
    /// Bytes the transport moved.
    moved: Cell<u64>,
    /// Bytes hyper took off the piece.
    taken: Cell<u64>,
    /// Told of bytes as they move.
    progress: Option<Arc<TransferProgress>>,
}

impl Segment {
    fn new(road: BodySource, progress: Option<Arc<TransferProgress>>) -> Self {
        let len = match &road {
            BodySource::File(slice) => slice.len,
            BodySource::PartialFile(slice) => slice.borrow().len(),
            BodySource::Relay(relay) => relay.borrow().left(),
        };
        Self {
            road,
            len,
            moved: Cell::new(0),
            taken: Cell::new(0),
            progress,
        }
    }

    /// Where its bytes are.
    pub(super) fn road(&self) -> &BodySource {
        &self.road
    }

    /// Bytes that were moved.
    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved.get()
    }

    /// Bytes still to be moved.
    pub(super) fn left(&self) -> u64 {
        self.len - self.moved.get()
    }

    /// Counts bytes that the transport moved.
    pub(super) fn moved(&self, bytes: u64) {
        self.moved.set(self.moved.get() + bytes);
        if let Some(progress) = &self.progress {
            progress.add(bytes);
        }
    }
}

/// The segments of one connection, in the order in which hyper will ask for them.
#[derive(Default)]
pub(super) struct SendQueue {
    segments: RefCell<VecDeque<Rc<Segment>>>,
    miscounted: Cell<bool>,
    /// Bodies that hyper is done with.
    answered: Cell<u64>,
}

impl SendQueue {
    /// Puts bytes at the end; the piece is for hyper.
    pub(super) fn push(
        self: &Rc<Self>,
        road: BodySource,
        completion: Option<Completion>,
        progress: Option<Arc<TransferProgress>>,
    ) -> BodyChunk {
        let segment = Rc::new(Segment::new(road, progress));
        self.segments.borrow_mut().push_back(Rc::clone(&segment));
        BodyChunk::Placeholder(Placeholder {
            segment,
            outbox: Rc::clone(self),
            completion,
        })
    }

    /// The segment whose bytes are next, if a file's bytes are.
    pub(super) fn front(&self) -> Option<Rc<Segment>> {
        self.segments.borrow().front().cloned()
    }

    /// Lets go of a segment that hyper is done with, and with it of its file.
    fn remove(&self, done: &Rc<Segment>) {
        let mut segments = self.segments.borrow_mut();
        segments.retain(|segment| !Rc::ptr_eq(segment, done));
    }

    /// hyper is done with the body of an answer.
    pub(super) fn count_answer(&self) {
        self.answered.set(self.answered.get() + 1);
    }

    /// How many bodies hyper is done with.
    pub(super) fn answered(&self) -> u64 {
        self.answered.get()
    }

    /// Whether hyper took bytes of a file that were never moved.
    pub(super) fn is_miscounted(&self) -> bool {
        self.miscounted.get()
    }
}

/// A piece of an answer's body in hyper's hands.
pub enum BodyChunk {
    /// Bytes in memory.
    Memory(Bytes),
    /// Bytes of a segment.
    Placeholder(Placeholder),
}

/// What stands for the bytes of a segment in hyper's hands.
pub struct Placeholder {
    segment: Rc<Segment>,
    outbox: Rc<SendQueue>,
    completion: Option<Completion>,
}

impl Placeholder {
    fn remaining(&self) -> usize {
        let left = self.segment.len - self.segment.taken.get();
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    fn advance(&self, bytes: usize) {
        let taken = self.segment.taken.get() + bytes as u64;
        self.segment.taken.set(taken);
        if taken != self.segment.moved.get() {
            self.outbox.miscounted.set(true);
        }
    }
}

impl Drop for Placeholder {
    fn drop(&mut self) {
        self.outbox.remove(&self.segment);
        if let Some(done) = self.completion.take() {
            done.run(self.segment.moved.get(), self.segment.left() == 0);
        }
    }
}

impl Buf for BodyChunk {
    fn remaining(&self) -> usize {
        match self {
            BodyChunk::Memory(bytes) => bytes.len(),
            BodyChunk::Placeholder(piece) => piece.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            BodyChunk::Memory(bytes) => bytes,
            BodyChunk::Placeholder(piece) => {
                &PLACEHOLDER[..piece.remaining().min(PLACEHOLDER_BYTES)]
            }
        }
    }

    fn advance(&mut self, bytes: usize) {
        match self {
            BodyChunk::Memory(memory) => memory.advance(bytes),
            BodyChunk::Placeholder(piece) => piece.advance(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(len: u64) -> (Rc<SendQueue>, BodyChunk) {
        let outbox = Rc::<SendQueue>::default();
        let slice = FileSlice {
            file: Arc::new(tempfile::tempfile().unwrap()),
            offset: 10,
            len,
        };
        let piece = outbox.push(BodySource::File(slice), None, None);
        (outbox, piece)
    }

    #[test]
    fn a_piece_shows_placeholders_of_its_length() {
        let (outbox, mut piece) = piece(PLACEHOLDER_BYTES as u64 + 5);
        assert_eq!(piece.chunk().len(), PLACEHOLDER_BYTES);
        assert!(is_placeholder(piece.chunk()));
        assert!(!is_placeholder(b"plain"));
        let segment = outbox.front().unwrap();
        segment.moved(PLACEHOLDER_BYTES as u64);
        piece.advance(PLACEHOLDER_BYTES);
        assert_eq!(piece.chunk().len(), 5);
        assert!(is_placeholder(piece.chunk()));
        assert_eq!(segment.moved_bytes(), PLACEHOLDER_BYTES as u64);
        assert!(!outbox.is_miscounted());
    }

    #[test]
    fn a_copied_placeholder_is_noticed() {
        let (outbox, mut piece) = piece(100);
        let copied = piece.copy_to_bytes(7);
        assert_eq!(copied.len(), 7);
        assert!(outbox.is_miscounted());
    }

    #[test]
    fn a_segment_leaves_with_its_piece() {
        let (outbox, piece) = piece(100);
        assert!(outbox.front().is_some());
        drop(piece);
        assert!(outbox.front().is_none());
    }
}
