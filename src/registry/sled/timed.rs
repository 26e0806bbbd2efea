//! Work that may never end, with a limit.
//!
//! sled 0.34.7 can wait for ever: a write of its log that fails on one of its own threads
//! does not always reach who waits for that write, and on a full disk about one flush in ten
//! never returned. A commit that hangs would hold up every later one without a word. So
//! flushes run on a thread of their own, and one that takes too long counts as failed. The
//! journal is written on another, at the same time.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A thread that does one kind of work, one order after the other. Dropping it waits for the
/// thread, which has things open, unless that hangs.
pub(super) struct Timed<O> {
    what: &'static str,
    orders: Option<SyncSender<O>>,
    results: Receiver<Result<(), String>>,
    limit: Duration,
    thread: Option<JoinHandle<()>>,
    hangs: Cell<bool>,
}

impl<O: Send + 'static> Timed<O> {
    /// Starts the thread. Work that takes longer than `limit` has failed.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(
        what: &'static str,
        limit: Duration,
        mut work: impl FnMut(O) -> Result<(), String> + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, ordered) = sync_channel(1);
        let (answers, results) = sync_channel(1);
        let work = move || {
            while let Ok(order) = ordered.recv()
                && answers.send(work(order)).is_ok()
            {}
        };
        let thread = thread::Builder::new().name(format!("registry-{what}"));
        Ok(Self {
            what,
            orders: Some(orders),
            results,
            limit,
            thread: Some(thread.spawn(work)?),
            hangs: Cell::new(false),
        })
    }

    /// Has it begin; [`Timed::end`] follows before the next one.
    ///
    /// # Errors
    /// When there is nobody to do it.
    pub(super) fn begin(&self, order: O) -> Result<(), String> {
        let orders = self.orders.as_ref().ok_or_else(|| self.gone())?;
        orders.send(order).map_err(|_| self.gone())
    }

    /// Waits for the end of what was begun; to be called no more after a failure.
    ///
    /// # Errors
    /// What the work says, or that it says nothing.
    pub(super) fn end(&self) -> Result<(), String> {
        match self.results.recv_timeout(self.limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
            Err(RecvTimeoutError::Timeout) => {
                self.hangs.set(true);
                Err(format!(
                    "the registry's {} has not ended within {} s; is the disk full or failing?",
                    self.what,
                    self.limit.as_secs()
                ))
            }
        }
    }

    fn gone(&self) -> String {
        format!("the thread of the registry's {} has ended", self.what)
    }
}

impl<O> Drop for Timed<O> {
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

    fn run(timed: &Timed<u8>, order: u8) -> Result<(), String> {
        timed.begin(order)?;
        timed.end()
    }

    #[test]
    fn passes_on_what_the_work_says() {
        let timed = Timed::start("flush", LIMIT, |order| match order {
            0 => Ok(()),
            _ => Err("no".to_owned()),
        });
        let timed = timed.unwrap();
        assert_eq!(run(&timed, 1), Err("no".to_owned()));
        assert_eq!(run(&timed, 0), Ok(()));
    }

    #[test]
    fn work_that_hangs_is_given_up() {
        let limit = Duration::from_millis(20);
        let timed = Timed::start("flush", limit, |_| {
            loop {
                thread::park();
            }
        });
        let said = run(&timed.unwrap(), 0).unwrap_err();
        assert!(said.contains("flush has not ended within"), "{said}");
    }

    #[test]
    fn work_that_panics_is_a_failure() {
        let timed = Timed::start("flush", LIMIT, |_| panic!("damaged"));
        assert!(run(&timed.unwrap(), 0).is_err());
    }
}
