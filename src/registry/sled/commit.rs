//! The one thread that writes.
//!
//! It takes every write that waits (group commit), decides each by compare-and-swap against
//! a working copy of the index, applies them to sled in one batch, flushes, and syncs sled's
//! file, while another thread appends them to the journal and syncs that. Then it publishes the working copy and answers. So no reader sees what could still
//! be lost, and no answer leaves before its write would survive a power cut.
//!
//! A failed flush or fsync is final: after it the kernel may have dropped pages it could not
//! write, so a second attempt could succeed without them. The registry goes on being read
//! and refuses writes until the process is started anew and recovers from what is on disk.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::super::codec::{self, CodecError, MAX_RECORD_BYTES};
use super::super::index::{Index, Snapshot};
use super::super::{Record, Version};
use super::journal::push;
use super::open::Opened;
use super::options::MOST_IN_GROUP;
use super::timed::Timed;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, OwnerLimits, Usage};

/// When a client of a registry that cannot write should try again.
const RETRY_AFTER: Duration = Duration::from_secs(60);

pub(super) enum Write {
    Insert(Image),
    Replace(Image, Version),
}

pub(super) struct Request {
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Result<Arc<Record>>>,
}

/// Whether the registry can still write.
#[derive(Default)]
pub(super) struct Health {
    failure: OnceLock<String>,
}

impl Health {
    pub(super) fn check(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(_) => Err(self.refusal()),
        }
    }

    pub(super) fn refusal(&self) -> Error {
        let cause = self.failure.get().cloned();
        Error::new(
            Kind::Unavailable {
                retry_after: RETRY_AFTER,
            },
            "The registry cannot be written.",
        )
        .because(cause.unwrap_or_else(|| "the commit thread has ended".to_owned()))
    }

    fn fail(&self, reason: String) {
        tracing::error!(
            reason,
            "the registry is read-only from now on; restart the node"
        );
        // The first reason is the one that matters.
        let _ = self.failure.set(reason);
    }
}

pub(super) struct Committer {
    pub(super) opened: Opened,
    pub(super) index: Arc<Index>,
    pub(super) health: Arc<Health>,
    pub(super) flusher: Timed<()>,
    pub(super) journal: Timed<Append>,
    pub(super) owner_limits: OwnerLimits,
}

/// What the journal is to get.
pub(super) struct Append {
    pub(super) frames: Vec<u8>,
    /// All records before.
    pub(super) before: Snapshot,
}

/// What a group writes.
#[derive(Default)]
struct Group {
    batch: sled::Batch,
    frames: Vec<u8>,
}

/// A write that was decided and waits for the group to be durable.
struct Decided {
    answer: oneshot::Sender<Result<Arc<Record>>>,
    record: Arc<Record>,
}

impl Committer {
    /// Commits until nobody can send any more.
    pub(super) fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Request>) {
        let mut group = Vec::new();
        while waiting.blocking_recv_many(&mut group, MOST_IN_GROUP) > 0 {
            self.commit(group.drain(..));
        }
        // Every write was synced when it was answered; this only spares the next start work.
        if self.health.check().is_ok()
            && let Err(error) = self.flush()
        {
            tracing::warn!(%error, "the registry could not be flushed at the end");
        }
    }

    fn commit(&mut self, group: impl Iterator<Item = Request>) {
        let mut working = self.opened.snapshot.clone();
        let mut writes = Group::default();
        let mut decided = Vec::new();
        for Request { write, answer } in group {
            let result = match self.health.check() {
                Ok(()) => decide(&mut working, &mut writes, write, self.owner_limits),
                Err(refused) => Err(refused),
            };
            match result {
                Ok(record) => decided.push(Decided { answer, record }),
                // Whoever stopped waiting for the answer does not need it.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        if decided.is_empty() {
            return;
        }
        match self.make_durable(writes) {
            Ok(()) => self.publish(working, decided),
            Err(reason) => self.give_up(reason, decided),
        }
    }

    fn make_durable(&self, writes: Group) -> std::result::Result<(), String> {
        self.journal.begin(Append {
            frames: writes.frames,
            before: self.opened.snapshot.clone(),
        })?;
        let in_sled = self.write_to_sled(writes.batch);
        let in_journal = self.journal.end();
        in_sled.and(in_journal)
    }

    fn flush(&self) -> std::result::Result<(), String> {
        self.flusher.begin(())?;
        self.flusher.end()
    }

    fn write_to_sled(&self, batch: sled::Batch) -> std::result::Result<(), String> {
        let in_sled = |error: sled::Error| format!("sled cannot write: {error}");
        self.opened.images.apply_batch(batch).map_err(in_sled)?;
        self.flush()?;
        let synced = self.opened.log_file.sync_all();
        synced.map_err(|error| format!("the registry's file cannot be synced: {error}"))
    }

    fn publish(&mut self, working: Snapshot, decided: Vec<Decided>) {
        self.opened.snapshot = working.clone();
        self.index.publish(working);
        for Decided { answer, record } in decided {
            // A client that went away finds its write when it looks again.
            drop(answer.send(Ok(record)));
        }
    }

    fn give_up(&self, reason: String, decided: Vec<Decided>) {
        self.health.fail(reason);
        for Decided { answer, .. } in decided {
            drop(answer.send(Err(self.health.refusal())));
        }
    }
}

/// Decides one write and enters it into the working copy and what the group writes.
fn decide(
    working: &mut Snapshot,
    writes: &mut Group,
    write: Write,
    owner_limits: OwnerLimits,
) -> Result<Arc<Record>> {
    let record = match write {
        Write::Insert(image) => {
            if working.get(&image.id).is_some() {
                let message = format!("Image with identifier {} already exists!", image.id);
                return Err(Error::new(Kind::Conflict, message));
            }
            Record::new(image, 1)
        }
        Write::Replace(image, seen) => {
            let current = working.get(&image.id).map(|record| record.version);
            if current != Some(seen) {
                let message = format!("Image {} was changed by another request.", image.id);
                return Err(Error::new(Kind::Stale, message));
            }
            Record::new(image, seen + 1)
        }
    };
    check_owner(working, &record.image, owner_limits)?;
    let bytes = codec::encode(&record).map_err(refuse_record)?;
    push(&mut writes.frames, &record.image.id, record.version, &bytes);
    let key = record.image.id.as_str().as_bytes();
    writes.batch.insert(key, bytes);
    let record = Arc::new(record);
    working.put(Arc::clone(&record));
    Ok(record)
}

/// Refuses what takes an owner past its limits. Here, where one write is decided after the
/// other, no two of them can take the same last byte.
fn check_owner(working: &Snapshot, image: &Image, limits: OwnerLimits) -> Result<()> {
    if limits == OwnerLimits::default() {
        return Ok(());
    }
    let current = working.get(&image.id).map(|record| &record.image);
    let before = current.filter(|current| current.owner == image.owner);
    let before = before.map_or_else(Usage::default, Usage::of);
    let mut others = working.usage(image.owner.as_deref());
    others -= before;
    let judged = limits.check(others, before, Usage::of(image));
    judged.map_err(|over| Error::new(Kind::TooLarge, over.to_string()))
}

fn refuse_record(error: CodecError) -> Error {
    match error {
        CodecError::TooLarge(_) => Error::new(
            Kind::TooLarge,
            format!("The image's metadata have more than {MAX_RECORD_BYTES} bytes."),
        )
        .because(error),
        _ => Error::internal(error),
    }
}
