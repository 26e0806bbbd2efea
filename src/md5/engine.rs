//! The hash engine: threads that hash what all uploads, fills and checks bring.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use bytes::Bytes;

use super::cpu::Kernels;
use super::lane::Lane;
use super::queue::{FinishOutcome, PushOutcome, StreamQueue};
use super::scheduler::Scheduler;
use super::state::DIGEST_BYTES;

/// How much a stream may queue before a push waits, unless said otherwise.
pub const DEFAULT_WINDOW_BYTES: usize = 2 * 1024 * 1024;

/// What all streams together may queue: where many are open, each has less than its own
/// window. Streams that share the lanes are served in turns, so that the sum is what counts.
const ALL_WINDOWS_BYTES: usize = 32 * 1024 * 1024;

/// What a stream may queue however many are open: a piece while another is hashed.
const LEAST_WINDOW_BYTES: usize = 256 * 1024;

/// The digest is lost: a hash thread panicked while it had the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the MD5 of this stream is lost: a hash thread failed; send the data again")]
pub struct DigestLost;

/// A handle to the hash threads. Clones share them.
///
/// The threads end when the last handle and the last stream are dropped.
#[derive(Clone, Debug)]
pub struct HashEngine {
    threads: Arc<Threads>,
}

/// Stops the threads when dropped.
#[derive(Debug)]
struct Threads {
    scheduler: Arc<Scheduler>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.scheduler.stop();
    }
}

impl HashEngine {
    /// Starts as many threads (at least one), named `md5-0` and so on.
    ///
    /// One thread hashes sixteen streams at once where there is AVX-512, eight
    /// with AVX2, and one otherwise. More threads than cores are of no use.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(threads: usize) -> io::Result<Self> {
        Self::start_with(threads, Kernels::chosen())
    }

    /// As [`start`](Self::start), with kernels chosen by the caller.
    pub(super) fn start_with(threads: usize, kernels: &'static Kernels) -> io::Result<Self> {
        let scheduler = Arc::new(Scheduler::new(kernels));
        // Stops those that have started, should one not start.
        let engine = Self {
            threads: Arc::new(Threads {
                scheduler: Arc::clone(&scheduler),
            }),
        };
        for number in 0..threads.max(1) {
            let scheduler = Arc::clone(&scheduler);
            thread::Builder::new()
                .name(format!("md5-{number}"))
                .spawn(move || run(&scheduler))?;
        }
        Ok(engine)
    }

    /// Lives as long as the threads do.
    #[cfg(test)]
    pub(super) fn watch(&self) -> std::sync::Weak<Scheduler> {
        Arc::downgrade(&self.threads.scheduler)
    }

    /// The kernels in use, for a line in the log: `avx512x16+portable` has
    /// sixteen lanes for many streams, and the portable compressor for one.
    pub fn kernels(&self) -> &'static str {
        &self.threads.scheduler.kernels.name
    }

    /// Begins a message with the default window.
    pub fn stream(&self) -> Md5Stream {
        self.stream_with_window(DEFAULT_WINDOW_BYTES)
    }

    /// Begins a message of which about `window_bytes` are queued at most.
    pub fn stream_with_window(&self, window_bytes: usize) -> Md5Stream {
        self.threads.scheduler.opened();
        Md5Stream {
            feed: Arc::new(StreamQueue::new()),
            window_bytes,
            threads: Arc::clone(&self.threads),
        }
    }
}

/// A hash thread. A panic loses the streams the thread had, and nothing else.
fn run(scheduler: &Scheduler) {
    while catch_unwind(AssertUnwindSafe(|| scheduler.serve())).is_err() {
        tracing::error!("a hash thread panicked; the uploads it had fail, it goes on");
    }
}

/// One message on its way through the [`HashEngine`].
///
/// Dropped unfinished, it lets go of all queued pieces.
#[derive(Debug)]
pub struct Md5Stream {
    feed: Arc<StreamQueue>,
    window_bytes: usize,
    threads: Arc<Threads>,
}

impl Md5Stream {
    /// Hands over the next piece of the message; the pieces are hashed in order.
    /// Pieces of 64 KiB to 1 MiB cost least; they should be well below half the
    /// window. A piece of 4 KiB or less may be hashed on the spot.
    ///
    /// Waits only while a whole window of bytes is queued, and until half of it
    /// is done. The window is smaller where many streams share the memory there is. Not cancel safe: if the wait is given up, the piece is lost, and
    /// the stream must be dropped.
    pub async fn push(&mut self, piece: Bytes) {
        let mut next = piece;
        loop {
            match self.feed.offer(next, self.window_bytes()) {
                PushOutcome::Taken => return,
                PushOutcome::Urgent => return self.threads.scheduler.mark_urgent(),
                PushOutcome::Started(md5, piece) => {
                    let lane = Lane::new(Arc::clone(&self.feed), md5, piece);
                    return self.threads.scheduler.schedule(lane);
                }
                PushOutcome::Full(piece) => next = piece,
            }
            self.feed.room().await;
        }
    }

    /// What may be queued now.
    fn window_bytes(&self) -> usize {
        let share = ALL_WINDOWS_BYTES / self.threads.scheduler.open_streams().max(1);
        self.window_bytes.min(share.max(LEAST_WINDOW_BYTES))
    }

    /// Bytes handed over and not hashed yet. A piece counts until its end.
    pub fn queued_bytes(&self) -> usize {
        self.feed.queued_bytes()
    }

    /// Waits for the rest of the queue and gives the digest of the message.
    ///
    /// # Errors
    /// [`DigestLost`] when a hash thread panicked over this stream.
    pub async fn finish(self) -> Result<[u8; DIGEST_BYTES], DigestLost> {
        match self.feed.finish() {
            FinishOutcome::Digest(digest) => Ok(digest),
            FinishOutcome::Lost => Err(DigestLost),
            FinishOutcome::Later(digest) => {
                self.threads.scheduler.mark_urgent();
                digest.await.map_err(|_| DigestLost)
            }
        }
    }
}

impl Drop for Md5Stream {
    fn drop(&mut self) {
        self.feed.abandon();
        self.threads.scheduler.closed();
    }
}
