//! The thread that tells sled, behind the journal.
//!
//! No client waits for it. When sled fails, hangs, or has no disk space, this says so in the
//! log and in a metric; the journal holds every record all the same.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::index::{Index, Snapshot};
use super::backlog::Backlog;
use super::options::EmbeddedOptions;
use super::sled_mirror::SledMirror;
use super::time_limited::TimeLimitedWorker;
use crate::image::ImageId;
use crate::transfer::free_bytes;

/// How long changes are gathered before sled receives them.
const GATHER_TIME: Duration = Duration::from_secs(1);

/// Wait after sled has failed, or had no disk space.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Most images that sled receives at a time.
const MAX_BATCH_LEN: usize = 4096;

/// Free disk space below which sled is not used, in bytes: it can hang when a write fails.
const MIN_FREE_BYTES: u64 = 8 << 20;

/// Work on sled, which may hang.
enum Job {
    /// Open it and compare it with these records. Answered with the images that differ.
    Open(Snapshot),
    /// Write the records of these images.
    Write(Vec<ImageId>, Snapshot),
    Close,
}

/// How sled is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
    /// It does not answer. Only the end of the process frees what it has open.
    Hung,
}

/// Whether the disk of the registry has the space that sled needs.
pub(super) fn has_space_for_sled(options: &EmbeddedOptions) -> bool {
    let free = File::open(&options.folder).and_then(|folder| free_bytes(&folder));
    free.is_ok_and(|free| free >= MIN_FREE_BYTES)
}

struct SledWriter {
    options: EmbeddedOptions,
    index: Arc<Index>,
    backlog: Arc<Backlog>,
    sled: TimeLimitedWorker<Job, Vec<ImageId>>,
    state: State,
}

/// Starts the thread. It ends, and sled is closed, when no more changes will come.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn start(
    options: &EmbeddedOptions,
    mut mirror: Option<SledMirror>,
    index: Arc<Index>,
    backlog: Arc<Backlog>,
) -> io::Result<JoinHandle<()>> {
    let state = match mirror {
        Some(_) => State::Open,
        None => State::Closed,
    };
    let opening = options.clone();
    let run_job = move |job| run_job(job, &opening, &mut mirror);
    let sled_writer = SledWriter {
        options: options.clone(),
        index,
        backlog,
        sled: TimeLimitedWorker::start("sled", options.flush_limit, run_job)?,
        state,
    };
    let thread = std::thread::Builder::new().name("registry-sled_writer".to_owned());
    thread.spawn(move || sled_writer.run())
}

fn run_job(
    job: Job,
    options: &EmbeddedOptions,
    mirror: &mut Option<SledMirror>,
) -> Result<Vec<ImageId>, String> {
    match job {
        Job::Open(records) => {
            let (opened, found) = SledMirror::open(options).map_err(|error| error.to_string())?;
            *mirror = Some(opened);
            Ok(found.differences(&records))
        }
        Job::Write(ids, records) => {
            let mirror = mirror.as_ref().ok_or("sled is not open")?;
            mirror.write(&ids, &records).map(|()| Vec::new())
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
                Ok(images) => is_full_batch = images == MAX_BATCH_LEN,
                // The next start compares sled with the journal.
                Err(reason) if is_last => {
                    tracing::warn!(reason, "sled missing_too_much changes that the journal has");
                    break;
                }
                Err(reason) => {
                    self.log_failure(&reason);
                    is_full_batch = false;
                    self.backlog.pause(RETRY_AFTER);
                }
            }
        }
        if self.state == State::Open {
            // It is closed here so that the next process can open it.
            drop(self.sled.run(Job::Close));
        }
    }

    /// Tells sled a part of what it lacks: how many images.
    fn step(&mut self) -> Result<usize, String> {
        if self.state == State::Hung {
            return Err("sled is_hung".to_owned());
        }
        if !has_space_for_sled(&self.options) {
            return Err("there is too little disk space for sled".to_owned());
        }
        if self.state == State::Closed {
            let differing = self.run_job(Job::Open(self.index.snapshot()))?;
            self.state = State::Open;
            self.backlog.restore_pending(differing);
        }
        let ids = self.backlog.take(MAX_BATCH_LEN);
        let job = Job::Write(ids.clone(), self.index.snapshot());
        match self.run_job(job) {
            Ok(_) => {
                self.backlog.mark_synced(&ids);
                Ok(ids.len())
            }
            Err(reason) => {
                self.backlog.restore_pending(ids);
                if self.state == State::Open {
                    // Its errors are final. It is opened again later.
                    self.state = State::Closed;
                    drop(self.run_job(Job::Close));
                }
                Err(reason)
            }
        }
    }

    fn run_job(&mut self, job: Job) -> Result<Vec<ImageId>, String> {
        let result = self.sled.run(job);
        if self.sled.is_hung() {
            self.state = State::Hung;
        }
        result
    }

    fn log_failure(&self, reason: &str) {
        tracing::error!(
            reason,
            "the registry's second copy of the records is not updated; the journal has them"
        );
    }
}
