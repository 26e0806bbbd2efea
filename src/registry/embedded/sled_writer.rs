//! The thread that writes sled behind the journal.
//!
//! No client waits for it. If sled fails, hangs or has no disk space, this thread reports it in
//! the log and a metric; the journal holds every item regardless.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::backlog::Backlog;
use super::key::Key;
use super::options::EmbeddedOptions;
use super::sled_mirror::SledMirror;
use super::stored::{Published, Stored};
use super::time_limited::TimeLimitedWorker;
use crate::runtime;
use crate::transfer::free_bytes;

/// Time for which changes are collected before they are written to sled.
const GATHER_TIME: Duration = Duration::from_secs(1);

/// Delay before the next attempt after sled has failed or had no disk space.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Maximum number of items that are written to sled at a time.
const MAX_BATCH_LEN: usize = 4096;

/// Free disk space below which sled is not used, in bytes: it can hang when a write fails.
const MIN_FREE_BYTES: u64 = 8 << 20;

/// An operation of sled, which may hang.
enum Job {
    /// Opens sled and compares it with this state. Returns the items that differ.
    Open(Stored),
    /// Writes these items.
    Write(Vec<Key>, Stored),
    Close,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SledState {
    Open,
    Closed,
    /// A call has not returned. Its resources are freed only when the process ends.
    Hung,
}

/// Returns true if the disk of the registry has the space that sled needs.
pub(super) fn has_space_for_sled(options: &EmbeddedOptions) -> bool {
    let free = File::open(&options.folder).and_then(|folder| free_bytes(&folder));
    free.is_ok_and(|free| free >= MIN_FREE_BYTES)
}

struct SledWriter {
    options: EmbeddedOptions,
    published: Arc<Published>,
    backlog: Arc<Backlog>,
    sled: TimeLimitedWorker<Job, Vec<Key>>,
    state: SledState,
}

/// Starts the thread. It closes sled and ends once the backlog is closed and empty.
///
/// # Errors
/// If the system cannot create a thread.
pub(super) fn start(
    options: &EmbeddedOptions,
    mut mirror: Option<SledMirror>,
    published: Arc<Published>,
    backlog: Arc<Backlog>,
) -> io::Result<JoinHandle<()>> {
    let state = match mirror {
        Some(_) => SledState::Open,
        None => SledState::Closed,
    };
    let job_options = options.clone();
    let run_job = move |job| run_job(job, &job_options, &mut mirror);
    let writer = SledWriter {
        options: options.clone(),
        published,
        backlog,
        sled: TimeLimitedWorker::start("sled", options.flush_limit, run_job)?,
        state,
    };
    Ok(runtime::spawn("registry-sled-writer", move || {
        writer.run()
    })?)
}

fn run_job(
    job: Job,
    options: &EmbeddedOptions,
    mirror: &mut Option<SledMirror>,
) -> Result<Vec<Key>, String> {
    match job {
        Job::Open(stored) => {
            let (opened, found) = SledMirror::open(options).map_err(|error| error.to_string())?;
            *mirror = Some(opened);
            Ok(found.differences(&stored))
        }
        Job::Write(keys, stored) => {
            let mirror = mirror.as_ref().ok_or("sled is not open")?;
            mirror.write(&keys, &stored).map(|()| Vec::new())
        }
        Job::Close => {
            *mirror = None;
            Ok(Vec::new())
        }
    }
}

impl SledWriter {
    fn run(mut self) {
        let mut is_full_batch = false;
        while self.backlog.wait() {
            let is_last = match is_full_batch {
                true => !self.backlog.pause(Duration::ZERO),
                false => !self.backlog.pause(GATHER_TIME),
            };
            match self.step() {
                Ok(items) => is_full_batch = items == MAX_BATCH_LEN,
                // The registry is being closed. The next start compares sled with the journal.
                Err(reason) if is_last => {
                    tracing::warn!(reason, "sled lacks changes that the journal has");
                    break;
                }
                Err(reason) => {
                    log_failure(&reason);
                    is_full_batch = false;
                    self.backlog.pause(RETRY_AFTER);
                }
            }
        }
        if self.state == SledState::Open {
            // Closing releases sled's lock before the registry's own lock, so that the next
            // process can open both.
            drop(self.sled.run(Job::Close));
        }
    }

    /// Writes one batch of the backlog to sled and returns its length.
    fn step(&mut self) -> Result<usize, String> {
        if self.state == SledState::Hung {
            return Err("sled hangs".to_owned());
        }
        if !has_space_for_sled(&self.options) {
            return Err("there is too little disk space for sled".to_owned());
        }
        if self.state == SledState::Closed {
            let differing = self.run_job(Job::Open(self.published.snapshot()))?;
            self.state = SledState::Open;
            self.backlog.restore_pending(differing);
        }
        let keys = self.backlog.take(MAX_BATCH_LEN);
        let job = Job::Write(keys.clone(), self.published.snapshot());
        match self.run_job(job) {
            Ok(_) => {
                self.backlog.mark_synced(&keys);
                Ok(keys.len())
            }
            Err(reason) => {
                self.backlog.restore_pending(keys);
                if self.state == SledState::Open {
                    // sled refuses every write after an error. A new attempt needs to open it.
                    self.state = SledState::Closed;
                    drop(self.run_job(Job::Close));
                }
                Err(reason)
            }
        }
    }

    fn run_job(&mut self, job: Job) -> Result<Vec<Key>, String> {
        let result = self.sled.run(job);
        if self.sled.is_hung() {
            self.state = SledState::Hung;
        }
        result
    }
}

fn log_failure(reason: &str) {
    tracing::error!(
        reason,
        "the registry's second copy of the records is not updated; the journal has them"
    );
}
