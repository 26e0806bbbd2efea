//! What one stream and the hash thread that serves it share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::state::{DIGEST_BYTES, Md5};

/// A piece up to this size is hashed by who brings it, if the stream is at
/// rest: 5 us of work, where a turn through another thread costs more.
const INLINE_BYTES: usize = 4 * 1024;

/// One stream's queue and, while nothing is queued, its MD5 state.
///
/// Either the state is at rest here and the queue is empty, or a lane has the
/// state; a stream has one lane at most.
#[derive(Debug)]
pub(super) struct StreamQueue {
    inner: Mutex<Inner>,
    /// Told when a waiting push may go on.
    room: Notify,
    /// The stream was dropped: its lane may stop at once.
    abandoned: AtomicBool,
    /// Somebody waits for this stream, or soon will.
    urgent: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    pieces: VecDeque<Bytes>,
    /// Bytes of `pieces` and of the piece in the lane.
    queued_bytes: usize,
    push_waits: bool,
    /// What may be queued, as of the last offer.
    window_bytes: usize,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    AtRest(Md5),
    InLane,
    /// In a lane; the digest is wanted when the queue is done.
    Closing(oneshot::Sender<[u8; DIGEST_BYTES]>),
    /// Finished, abandoned, or lost in a panic.
    #[default]
    Gone,
}

/// What became of a piece.
pub(super) enum PushOutcome {
    /// The stream's lane has it, or it is hashed already.
    Taken,
    /// As taken, and the stream has just become urgent.
    Urgent,
    /// The stream was at rest: the state and the piece must go into a lane.
    Started(Md5, Bytes),
    /// The window is full: wait for [`StreamQueue::room`], then offer it again.
    Full(Bytes),
}

/// What comes after the last piece.
pub(super) enum FinishOutcome {
    Digest([u8; DIGEST_BYTES]),
    /// It will come from the lane. An error means that the lane is lost.
    Later(oneshot::Receiver<[u8; DIGEST_BYTES]>),
    Lost,
}

impl StreamQueue {
    pub(super) fn new() -> Self {
        let inner = Inner {
            state: State::AtRest(Md5::new()),
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            room: Notify::new(),
            abandoned: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
        }
    }

    /// Queues a piece, unless the window is full already.
    pub(super) fn offer(&self, piece: Bytes, window_bytes: usize) -> PushOutcome {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.window_bytes = window_bytes;
        match &mut inner.state {
            State::AtRest(md5) if piece.len() <= INLINE_BYTES => {
                md5.update(&piece);
                drop(guard);
                PushOutcome::Taken
            }
            State::AtRest(md5) => {
                let md5 = md5.clone();
                inner.state = State::InLane;
                inner.queued_bytes = piece.len();
                PushOutcome::Started(md5, piece)
            }
            State::InLane if inner.queued_bytes >= window_bytes => {
                inner.push_waits = true;
                PushOutcome::Full(piece)
            }
            State::InLane => {
                inner.queued_bytes += piece.len();
                inner.pieces.push_back(piece);
                let pressing = inner.queued_bytes > window_bytes / 2;
                if pressing && !self.urgent.swap(true, Ordering::Relaxed) {
                    return PushOutcome::Urgent;
                }
                PushOutcome::Taken
            }
            // Finishing tells of it.
            State::Closing(_) | State::Gone => {
                drop(guard);
                PushOutcome::Taken
            }
        }
    }

    /// Waits until the window has room, after an offer found it full.
    pub(super) async fn room(&self) {
        self.room.notified().await;
    }

    /// No more pieces will come.
    pub(super) fn finish(&self) -> FinishOutcome {
        let mut inner = self.lock();
        match std::mem::take(&mut inner.state) {
            State::AtRest(md5) => FinishOutcome::Digest(md5.finalize()),
            State::InLane => {
                let (sender, receiver) = oneshot::channel();
                inner.state = State::Closing(sender);
                self.urgent.store(true, Ordering::Relaxed);
                FinishOutcome::Later(receiver)
            }
            State::Closing(_) | State::Gone => FinishOutcome::Lost,
        }
    }

    /// Lets go of all that is queued; the lane ends when its thread sees it.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        let mut inner = self.lock();
        let ended = std::mem::take(&mut *inner);
        drop(inner);
        // A waiting push would wait for ever; pieces may run their owner's code.
        self.room.notify_one();
        drop(ended);
    }

    /// For the lane: `hashed_bytes` of the queue are done, and `md5` is the
    /// state after them. Gives the next piece, or takes the state back.
    pub(super) fn next_piece(&self, hashed_bytes: usize, md5: &Md5) -> Option<Bytes> {
        let mut inner = self.lock();
        inner.queued_bytes = inner.queued_bytes.saturating_sub(hashed_bytes);
        if inner.queued_bytes <= inner.window_bytes / 2 {
            let closing = matches!(inner.state, State::Closing(_));
            self.urgent.store(closing, Ordering::Relaxed);
            // Woken at half, a push costs one turn of its task for half a window.
            if std::mem::take(&mut inner.push_waits) {
                self.room.notify_one();
            }
        }
        if let Some(piece) = inner.pieces.pop_front() {
            return Some(piece);
        }
        match std::mem::take(&mut inner.state) {
            State::InLane => inner.state = State::AtRest(md5.clone()),
            State::Closing(sender) => {
                drop(inner);
                // Who no longer wants the digest has dropped the receiver.
                let _ = sender.send(md5.clone().finalize());
            }
            State::AtRest(_) | State::Gone => {}
        }
        None
    }

    /// For the lane: it ends before the queue does, by a panic.
    pub(super) fn lose(&self) {
        self.abandon();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Whether somebody waits for this stream, or soon will: it is to be
    /// finished, or more than half its window is full.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Relaxed)
    }

    /// Bytes handed over and not hashed yet.
    pub(super) fn queued_bytes(&self) -> usize {
        self.lock().queued_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing between lock and unlock leaves the parts at odds.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
