//! The public interface: [`HashEngine`] owns the hash threads, [`Md5Stream`] hashes one message.

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

/// Default of the bytes that a stream may queue before a push waits.
pub const DEFAULT_WINDOW_BYTES: usize = 2 * 1024 * 1024;

/// Most bytes that all streams together may queue. With many open streams, each one's window is
/// smaller. The sum is what matters for throughput, because streams share the lanes in turns.
const ALL_WINDOWS_BYTES: usize = 32 * 1024 * 1024;

/// Least window of a stream in bytes, however many are open: one piece while another is hashed.
const LEAST_WINDOW_BYTES: usize = 256 * 1024;

/// The digest was lost because a hash thread panicked while it processed the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MD5 lost: a hash thread failed; send the data again")]
pub struct DigestLost;

/// Handle to the hash threads. Clones share them.
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
    /// Starts `threads` threads (at least one), named `md5-0` and so on.
    ///
    /// One thread hashes sixteen streams at once with AVX-512, eight with AVX2, and one
    /// otherwise. More threads than cores are useless.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(threads: usize) -> io::Result<Self> {
        Self::start_with(threads, Kernels::chosen())
    }

    /// As [`start`](Self::start), with kernels chosen by the caller.
    pub(super) fn start_with(threads: usize, kernels: &'static Kernels) -> io::Result<Self> {
        let scheduler = Arc::new(Scheduler::new(kernels));
        // Created first: if a thread cannot be started, dropping it stops the others.
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

    /// Returns a reference that is valid as long as the threads run.
    #[cfg(test)]
    pub(super) fn watch(&self) -> std::sync::Weak<Scheduler> {
        Arc::downgrade(&self.threads.scheduler)
    }

    /// Returns the names of the kernels in use, for the log: `avx512x16+portable` means sixteen
    /// lanes, and the portable function for a single stream.
    pub fn kernels(&self) -> &'static str {
        &self.threads.scheduler.kernels.name
    }

    /// Opens a stream with the default window.
    pub fn stream(&self) -> Md5Stream {
        self.stream_with_window(DEFAULT_WINDOW_BYTES)
    }

    /// Opens a stream that queues about `window_bytes` at most.
    pub fn stream_with_window(&self, window_bytes: usize) -> Md5Stream {
        self.threads.scheduler.opened();
        Md5Stream {
            queue: Arc::new(StreamQueue::new()),
            window_bytes,
            threads: Arc::clone(&self.threads),
        }
    }
}

/// Runs a hash thread. A panic loses the streams that the thread was hashing, and no others.
fn run(scheduler: &Scheduler) {
    while catch_unwind(AssertUnwindSafe(|| scheduler.serve())).is_err() {
        tracing::error!("hash thread panicked; its current uploads fail, the thread continues");
    }
}

/// One message that the [`HashEngine`] hashes.
///
/// Dropping it discards all queued pieces.
#[derive(Debug)]
pub struct Md5Stream {
    queue: Arc<StreamQueue>,
    window_bytes: usize,
    threads: Arc<Threads>,
}

impl Md5Stream {
    /// Queues the next piece of the message. The pieces are hashed in order.
    ///
    /// Pieces of 64 KiB to 1 MiB cost least; they should be well below half the window. A piece
    /// of 4 KiB or less may be hashed on the caller's thread.
    ///
    /// Waits only while a whole window is queued, until half of it is hashed. With many open
    /// streams, the window is smaller.
    ///
    /// Not cancel safe: if the future is dropped while it waits, the piece is lost, and the stream
    /// must be dropped as well.
    pub async fn push(&mut self, piece: Bytes) {
        let mut next = piece;
        loop {
            match self.queue.offer(next, self.window_bytes()) {
                PushOutcome::Taken => return,
                PushOutcome::Urgent => return self.threads.scheduler.mark_urgent(),
                PushOutcome::Started(md5, piece) => {
                    let lane = Lane::new(Arc::clone(&self.queue), md5, piece);
                    return self.threads.scheduler.schedule(lane);
                }
                PushOutcome::Full(piece) => next = piece,
            }
            self.queue.wait_for_space().await;
        }
    }

    /// Returns the current size of the window.
    fn window_bytes(&self) -> usize {
        let share = ALL_WINDOWS_BYTES / self.threads.scheduler.open_streams().max(1);
        self.window_bytes.min(share.max(LEAST_WINDOW_BYTES))
    }

    /// Returns the number of bytes that are queued and not hashed. A piece counts until its end.
    pub fn queued_bytes(&self) -> usize {
        self.queue.queued_bytes()
    }

    /// Waits until the queue is hashed, and returns the digest of the message.
    ///
    /// # Errors
    /// [`DigestLost`] if a hash thread panicked while it processed this stream.
    pub async fn finish(self) -> Result<[u8; DIGEST_BYTES], DigestLost> {
        match self.queue.finish() {
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
        self.queue.abandon();
        self.threads.scheduler.closed();
    }
}
