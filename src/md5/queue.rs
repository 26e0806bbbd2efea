//! The queue between one stream and the hash thread that processes it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::state::{DIGEST_BYTES, Md5};

/// A piece up to this size is hashed on the caller's thread if the stream is idle: it takes 5 us,
/// less than passing it to another thread.
const INLINE_BYTES: usize = 4 * 1024;

/// A stream's queue of pieces and, while the queue is empty, its MD5 state.
///
/// Invariant: either the MD5 state is here and the queue is empty, or exactly one lane has the
/// state.
#[derive(Debug)]
pub(super) struct StreamQueue {
    inner: Mutex<Inner>,
    /// Notifies a waiting push of free space.
    space: Notify,
    /// True if the stream was dropped, so that its lane may stop at once.
    abandoned: AtomicBool,
    /// True if a client waits for this stream, or soon will.
    urgent: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    pieces: VecDeque<Bytes>,
    /// Bytes of `pieces` and of the piece in the lane.
    queued_bytes: usize,
    push_waits: bool,
    /// Size of the window at the last push.
    window_bytes: usize,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    Idle(Md5),
    InLane,
    /// In a lane; the digest is sent when the queue is empty.
    Closing(oneshot::Sender<[u8; DIGEST_BYTES]>),
    /// Finished, dropped, or lost by a panic.
    #[default]
    Ended,
}

/// Result of offering a piece.
pub(super) enum PushOutcome {
    /// The piece is queued, or hashed already.
    Taken,
    /// The piece is queued, and the stream has just become urgent.
    Urgent,
    /// The stream was idle: the caller must schedule a lane with the state and the piece.
    Started(Md5, Bytes),
    /// The window is full: the caller waits for [`StreamQueue::wait_for_space`] and tries again.
    Full(Bytes),
}

/// Result of finishing a stream.
pub(super) enum FinishOutcome {
    Digest([u8; DIGEST_BYTES]),
    /// The lane will send the digest. An error means that the lane was lost.
    Later(oneshot::Receiver<[u8; DIGEST_BYTES]>),
    Lost,
}

impl StreamQueue {
    pub(super) fn new() -> Self {
        let inner = Inner {
            state: State::Idle(Md5::new()),
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            space: Notify::new(),
            abandoned: AtomicBool::new(false),
            urgent: AtomicBool::new(false),
        }
    }

    /// Queues a piece unless the window is full.
    pub(super) fn offer(&self, piece: Bytes, window_bytes: usize) -> PushOutcome {
        let mut guard = self.lock();
        let inner = &mut *guard;
        inner.window_bytes = window_bytes;
        match &mut inner.state {
            State::Idle(md5) if piece.len() <= INLINE_BYTES => {
                // Under the lock: only this stream's own lane could contend, and it has none.
                md5.update(&piece);
                drop(guard);
                PushOutcome::Taken
            }
            State::Idle(md5) => {
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
                let is_urgent = inner.queued_bytes > window_bytes / 2;
                if is_urgent && !self.urgent.swap(true, Ordering::Relaxed) {
                    return PushOutcome::Urgent;
                }
                PushOutcome::Taken
            }
            // The stream is lost; `finish` reports it.
            State::Closing(_) | State::Ended => {
                drop(guard);
                PushOutcome::Taken
            }
        }
    }

    /// Waits until the window has space, after an offer found it full.
    pub(super) async fn wait_for_space(&self) {
        self.space.notified().await;
    }

    /// Ends the message.
    pub(super) fn finish(&self) -> FinishOutcome {
        let mut inner = self.lock();
        match std::mem::take(&mut inner.state) {
            State::Idle(md5) => FinishOutcome::Digest(md5.finalize()),
            State::InLane => {
                let (sender, receiver) = oneshot::channel();
                inner.state = State::Closing(sender);
                self.urgent.store(true, Ordering::Relaxed);
                FinishOutcome::Later(receiver)
            }
            State::Closing(_) | State::Ended => FinishOutcome::Lost,
        }
    }

    /// Discards the queue. The lane ends when its thread notices.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
        let mut inner = self.lock();
        let ended = std::mem::take(&mut *inner);
        drop(inner);
        // A waiting push would otherwise wait for ever. The pieces are dropped after the lock is
        // released, because dropping one may run its owner's code.
        self.space.notify_one();
        drop(ended);
    }

    /// Called by the lane after it has hashed `hashed_bytes`; `md5` is the state after them.
    /// Returns the next piece. If there is none, takes the state back and returns `None`.
    pub(super) fn next_piece(&self, hashed_bytes: usize, md5: &Md5) -> Option<Bytes> {
        let mut inner = self.lock();
        inner.queued_bytes = inner.queued_bytes.saturating_sub(hashed_bytes);
        if inner.queued_bytes <= inner.window_bytes / 2 {
            let closing = matches!(inner.state, State::Closing(_));
            self.urgent.store(closing, Ordering::Relaxed);
            // Waking the push only at half the window limits the wake-ups to one per half window.
            if std::mem::take(&mut inner.push_waits) {
                self.space.notify_one();
            }
        }
        if let Some(piece) = inner.pieces.pop_front() {
            return Some(piece);
        }
        match std::mem::take(&mut inner.state) {
            State::InLane => inner.state = State::Idle(md5.clone()),
            State::Closing(sender) => {
                drop(inner);
                // Fails if the receiver was dropped, because the digest is no longer wanted.
                let _ = sender.send(md5.clone().finalize());
            }
            State::Idle(_) | State::Ended => {}
        }
        None
    }

    /// Called when the lane is dropped by a panic.
    pub(super) fn lose(&self) {
        self.abandon();
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Returns true if a client waits for this stream, or soon will: it is being finished, or more
    /// than half of its window is queued.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that are queued and not hashed.
    pub(super) fn queued_bytes(&self) -> usize {
        self.lock().queued_bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is used: no critical section can panic with the fields inconsistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
