//! Work that may never end, with a limit.
//!
//! sled 0.34.7 can wait for ever: a write of its log that fails on one of its own threads
//! does not always reach the caller that waits for that write, and on a full disk about one
//! flush in ten never returned. So calls of sled run on a thread of their own, and one that
//! takes too long counts as failed.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A thread that does one kind of work, one order after the other. Dropping it waits for the
/// thread, which has things open, unless that hangs.
pub(super) struct TimeLimitedWorker<O, R> {
    what: &'static str,
    jobs: Option<SyncSender<O>>,
    results: Receiver<Result<R, String>>,
    limit: Duration,
    thread: Option<JoinHandle<()>>,
    is_hung: Cell<bool>,
}

impl<O: Send + 'static, R: Send + 'static> TimeLimitedWorker<O, R> {
    /// Starts the thread. Work that takes longer than `limit` has failed.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(
        what: &'static str,
        limit: Duration,
        mut work: impl FnMut(O) -> Result<R, String> + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, submitted) = sync_channel(1);
        let (answers, results) = sync_channel(1);
        let work = move || {
            while let Ok(job) = submitted.recv()
                && answers.send(work(job)).is_ok()
            {}
        };
        let thread = thread::Builder::new().name(format!("registry-{what}"));
        Ok(Self {
            what,
            jobs: Some(jobs),
            results,
            limit,
            thread: Some(thread.spawn(work)?),
            is_hung: Cell::new(false),
        })
    }

    /// Carries an order out and waits for its end. To be called no more once it hangs.
    ///
    /// # Errors
    /// The error of the work, or that it has not ended in time.
    pub(super) fn run(&self, job: O) -> Result<R, String> {
        let jobs = self.jobs.as_ref().ok_or_else(|| self.ended())?;
        jobs.send(job).map_err(|_| self.ended())?;
        match self.results.recv_timeout(self.limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                self.is_hung.set(true);
                let (what, limit_s) = (self.what, self.limit.as_secs());
                Err(format!("{what} has not answered within {limit_s} s"))
            }
        }
    }

    /// Whether an order has not ended in time.
    pub(super) fn is_hung(&self) -> bool {
        self.is_hung.get()
    }

    fn ended(&self) -> String {
        format!("the thread of {} has ended", self.what)
    }
}

impl<O, R> Drop for TimeLimitedWorker<O, R> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && !self.is_hung.get()
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
    fn passes_on_what_the_work_says() {
        let worker = TimeLimitedWorker::start("sled", LIMIT, |job| match job {
            0 => Ok(()),
            _ => Err("no".to_owned()),
        });
        let worker = worker.unwrap();
        assert_eq!(worker.run(1u8), Err("no".to_owned()));
        assert_eq!(worker.run(0), Ok(()));
    }

    #[test]
    fn work_that_hangs_is_given_up() {
        let limit = Duration::from_millis(20);
        let worker: TimeLimitedWorker<u8, ()> = TimeLimitedWorker::start("sled", limit, |_| {
            loop {
                thread::park();
            }
        })
        .unwrap();
        let said = worker.run(0).unwrap_err();
        assert!(said.contains("sled has not answered within"), "{said}");
        assert!(worker.is_hung());
    }

    #[test]
    fn work_that_panics_is_a_failure() {
        let worker: io::Result<TimeLimitedWorker<u8, ()>> =
            TimeLimitedWorker::start("sled", LIMIT, |_| panic!("damaged"));
        assert!(worker.unwrap().run(0).is_err());
    }
}
