//! sled's flush, with a limit.
//!
//! sled 0.34.7 can wait for ever: a write of its log that fails on one of its own threads
//! does not always reach who waits for that write, and on a full disk about one flush in ten
//! never returned. A commit that hangs would hold up every later one without a word. So
//! flushes run on a thread of their own, and one that takes too long counts as failed.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Flushes a database when asked to. Dropping it waits for its thread, which has the
/// database open, unless that hangs.
pub(super) struct Flusher {
    orders: Option<SyncSender<()>>,
    results: Receiver<Result<(), String>>,
    limit: Duration,
    thread: Option<JoinHandle<()>>,
    hangs: Cell<bool>,
}

impl Flusher {
    /// Starts the thread. A flush that takes longer than `limit` has failed.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(db: sled::Db, limit: Duration) -> io::Result<Self> {
        let flush = move || db.flush().map(drop);
        Self::start_with(limit, move || {
            flush().map_err(|error| format!("sled cannot write: {error}"))
        })
    }

    fn start_with(
        limit: Duration,
        flush: impl Fn() -> Result<(), String> + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, ordered) = sync_channel(1);
        let (answers, results) = sync_channel(1);
        let work = move || {
            while ordered.recv().is_ok() && answers.send(flush()).is_ok() {}
        };
        let thread = thread::Builder::new().name("registry-flush".to_owned());
        Ok(Self {
            orders: Some(orders),
            results,
            limit,
            thread: Some(thread.spawn(work)?),
            hangs: Cell::new(false),
        })
    }

    /// Flushes; to be called no more after a failure.
    ///
    /// # Errors
    /// What sled says, or that it says nothing.
    pub(super) fn flush(&self) -> Result<(), String> {
        let ended = || "the flushing thread has ended".to_owned();
        let orders = self.orders.as_ref().ok_or_else(ended)?;
        orders.send(()).map_err(|_| ended())?;
        match self.results.recv_timeout(self.limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(ended()),
            Err(RecvTimeoutError::Timeout) => {
                self.hangs.set(true);
                Err(format!(
                    "sled has not flushed within {} s; is the disk full or failing?",
                    self.limit.as_secs()
                ))
            }
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take()
            && !self.hangs.get()
        {
            // One that panicked has nothing open any more.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    #[test]
    fn passes_on_what_a_flush_says() {
        let flusher = Flusher::start_with(LIMIT, || Err("no".to_owned())).unwrap();
        assert_eq!(flusher.flush(), Err("no".to_owned()));
        let flusher = Flusher::start_with(LIMIT, || Ok(())).unwrap();
        assert_eq!(flusher.flush(), Ok(()));
        assert_eq!(flusher.flush(), Ok(()));
    }

    #[test]
    fn a_flush_that_hangs_is_given_up() {
        let limit = Duration::from_millis(20);
        let flusher = Flusher::start_with(limit, || {
            loop {
                thread::park();
            }
        });
        let said = flusher.unwrap().flush().unwrap_err();
        assert!(said.contains("not flushed within"), "{said}");
    }

    #[test]
    fn a_flush_that_panics_is_a_failure() {
        let flusher = Flusher::start_with(LIMIT, || panic!("damaged")).unwrap();
        assert!(flusher.flush().is_err());
    }
}
