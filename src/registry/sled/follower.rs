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
use super::behind::Behind;
use super::options::SledOptions;
use super::sled_copy::SledCopy;
use super::timed::Timed;
use crate::image::ImageId;
use crate::transfer::free_bytes;

/// How long changes are gathered before sled receives them.
const GATHER: Duration = Duration::from_secs(1);

/// Wait after sled has failed, or had no disk space.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Most images that sled receives at a time.
const MOST_IN_BATCH: usize = 4096;

/// Free disk space below which sled is not used, in bytes: it can hang when a write fails.
const SLED_SPACE_BYTES: u64 = 8 << 20;

/// Work on sled, which may hang.
enum Order {
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
    Hangs,
}

/// Whether the disk of the registry has the space that sled needs.
pub(super) fn has_space_for_sled(options: &SledOptions) -> bool {
    let free = File::open(&options.folder).and_then(|folder| free_bytes(&folder));
    free.is_ok_and(|free| free >= SLED_SPACE_BYTES)
}

struct Follower {
    options: SledOptions,
    index: Arc<Index>,
    behind: Arc<Behind>,
    sled: Timed<Order, Vec<ImageId>>,
    state: State,
}

/// Starts the thread. It ends, and sled is closed, when no more changes will come.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn start(
    options: &SledOptions,
    mut copy: Option<SledCopy>,
    index: Arc<Index>,
    behind: Arc<Behind>,
) -> io::Result<JoinHandle<()>> {
    let state = match copy {
        Some(_) => State::Open,
        None => State::Closed,
    };
    let opening = options.clone();
    let carry_out = move |order| carry_out(order, &opening, &mut copy);
    let follower = Follower {
        options: options.clone(),
        index,
        behind,
        sled: Timed::start("sled", options.flush_limit, carry_out)?,
        state,
    };
    let thread = std::thread::Builder::new().name("registry-follower".to_owned());
    thread.spawn(move || follower.run())
}

fn carry_out(
    order: Order,
    options: &SledOptions,
    copy: &mut Option<SledCopy>,
) -> Result<Vec<ImageId>, String> {
    match order {
        Order::Open(records) => {
            let (opened, found) = SledCopy::open(options).map_err(|error| error.to_string())?;
            *copy = Some(opened);
            Ok(found.differences(&records))
        }
        Order::Write(ids, records) => {
            let copy = copy.as_ref().ok_or("sled is not open")?;
            copy.write(&ids, &records).map(|()| Vec::new())
        }
        Order::Close => {
            *copy = None;
            Ok(Vec::new())
        }
    }
}

impl Follower {
    fn run(mut self) {
        let mut is_full_batch = false;
        while self.behind.wait() {
            let is_last = match is_full_batch {
                true => !self.behind.pause(Duration::ZERO),
                false => !self.behind.pause(GATHER),
            };
            match self.step() {
                Ok(images) => is_full_batch = images == MOST_IN_BATCH,
                // The next start compares sled with the journal.
                Err(reason) if is_last => {
                    tracing::warn!(reason, "sled lacks changes that the journal has");
                    break;
                }
                Err(reason) => {
                    self.tell(&reason);
                    is_full_batch = false;
                    self.behind.pause(RETRY_AFTER);
                }
            }
        }
        if self.state == State::Open {
            // It is closed here so that the next process can open it.
            drop(self.sled.run(Order::Close));
        }
    }

    /// Tells sled a part of what it lacks: how many images.
    fn step(&mut self) -> Result<usize, String> {
        if self.state == State::Hangs {
            return Err("sled hangs".to_owned());
        }
        if !has_space_for_sled(&self.options) {
            return Err("there is too little disk space for sled".to_owned());
        }
        if self.state == State::Closed {
            let differing = self.order(Order::Open(self.index.snapshot()))?;
            self.state = State::Open;
            self.behind.put_back(differing);
        }
        let ids = self.behind.take(MOST_IN_BATCH);
        let order = Order::Write(ids.clone(), self.index.snapshot());
        match self.order(order) {
            Ok(_) => {
                self.behind.is_told(&ids);
                Ok(ids.len())
            }
            Err(reason) => {
                self.behind.put_back(ids);
                if self.state == State::Open {
                    // Its errors are final. It is opened again later.
                    self.state = State::Closed;
                    drop(self.order(Order::Close));
                }
                Err(reason)
            }
        }
    }

    fn order(&mut self, order: Order) -> Result<Vec<ImageId>, String> {
        let result = self.sled.run(order);
        if self.sled.hangs() {
            self.state = State::Hangs;
        }
        result
    }

    fn tell(&self, reason: &str) {
        tracing::error!(
            reason,
            "the registry's second copy of the records is not updated; the journal has them"
        );
    }
}
