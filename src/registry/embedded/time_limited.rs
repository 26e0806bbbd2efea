//! A worker thread for operations that may never return.
//!
//! sled 0.34.7 can wait forever: an error in a write of its log, on one of its own threads, does
//! not always reach the caller that waits for the write. On a full disk about one flush in ten
//! never returned. Therefore sled is only called on such a worker, and a call that exceeds its
//! time limit counts as failed.

use std::cell::Cell;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::runtime;

/// A thread that executes jobs one after the other. Dropping it waits for the thread, so that its
/// files are closed, unless a job hangs.
pub(super) struct TimeLimitedWorker<J, R> {
    /// The component that is called, for error messages.
    name: &'static str,
    jobs: Option<SyncSender<J>>,
    results: Receiver<Result<R, String>>,
    limit: Duration,
    thread: Option<JoinHandle<()>>,
    is_hung: Cell<bool>,
}

impl<J: Send + 'static, R: Send + 'static> TimeLimitedWorker<J, R> {
    /// Starts the thread. A job that takes longer than `limit` has failed.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(super) fn start(
        name: &'static str,
        limit: Duration,
        mut work: impl FnMut(J) -> Result<R, String> + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, submitted) = sync_channel(1);
        let (answers, results) = sync_channel(1);
        let work = move || {
            while let Ok(job) = submitted.recv()
                && answers.send(work(job)).is_ok()
            {}
        };
        let thread = runtime::spawn(format!("registry-{name}"), work)?;
        Ok(Self {
            name,
            jobs: Some(jobs),
            results,
            limit,
            thread: Some(thread),
            is_hung: Cell::new(false),
        })
    }

    /// Executes a job and waits for its result. Must not be called again once the worker is hung:
    /// the late result of the earlier job would be taken for that of the new one.
    ///
    /// # Errors
    /// The error of the job, or that it exceeded the time limit.
    pub(super) fn run(&self, job: J) -> Result<R, String> {
        let jobs = self.jobs.as_ref().ok_or_else(|| self.ended())?;
        jobs.send(job).map_err(|_| self.ended())?;
        match self.results.recv_timeout(self.limit) {
            Ok(result) => result,
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
            Err(RecvTimeoutError::Timeout) => {
                self.is_hung.set(true);
                let (name, limit_s) = (self.name, self.limit.as_secs());
                Err(format!("{name} has not answered within {limit_s} s"))
            }
        }
    }

    /// Returns true if a job has exceeded the time limit.
    pub(super) fn is_hung(&self) -> bool {
        self.is_hung.get()
    }

    fn ended(&self) -> String {
        format!("the thread of {} has ended", self.name)
    }
}

impl<J, R> Drop for TimeLimitedWorker<J, R> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && !self.is_hung.get()
        {
            // A thread that panicked has dropped everything that it had open.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);

    #[test]
    fn results_and_errors_of_jobs_are_returned() {
        let worker = TimeLimitedWorker::start("sled", LIMIT, |job| match job {
            0 => Ok(()),
            _ => Err("no".to_owned()),
        });
        let worker = worker.unwrap();
        assert_eq!(worker.run(1u8), Err("no".to_owned()));
        assert_eq!(worker.run(0), Ok(()));
    }

    #[test]
    fn hung_job_fails_after_the_limit() {
        let limit = Duration::from_millis(20);
        let worker: TimeLimitedWorker<u8, ()> = TimeLimitedWorker::start("sled", limit, |_| {
            loop {
                std::thread::park();
            }
        })
        .unwrap();
        let error = worker.run(0).unwrap_err();
        assert!(error.contains("sled has not answered within"), "{error}");
        assert!(worker.is_hung());
    }

    #[test]
    fn panicking_job_is_an_error() {
        let worker: io::Result<TimeLimitedWorker<u8, ()>> =
            TimeLimitedWorker::start("sled", LIMIT, |_| panic!("damaged"));
        assert!(worker.unwrap().run(0).is_err());
    }
}
