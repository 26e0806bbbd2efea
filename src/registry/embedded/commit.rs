//! The one thread that writes.
//!
//! It takes every write that waits (group commit), decides each by compare-and-swap against
//! a working copy of the index, appends the records to the journal and syncs it. Then it
//! publishes the working copy and answers. So no reader sees a record that could still be
//! lost, and no answer leaves before its write would survive a power cut. sled receives the
//! records afterwards, from another thread ([`follower`](super::follower)).
//!
//! A lack of disk space refuses the write that it affects. A failed fsync is final: after it
//! the kernel may have dropped pages it could not write, so a second attempt could succeed
//! without them. The registry goes on being read and refuses writes until the process is
//! restarted and recovers from what is on disk.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::super::codec::{self, CodecError, MAX_RECORD_BYTES};
use super::super::index::{Index, Snapshot};
use super::super::{Record, Version};
use super::backlog::Backlog;
use super::health::{Health, no_space};
use super::journal::{AppendError, Journal, push};
use super::options::MAX_GROUP_LEN;
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, OwnerLimits, Status, Usage};

/// A change of one record.
pub(super) enum Write {
    Insert(Image),
    Replace(Image, Version),
    /// Removes the record of a deleted image.
    Purge(ImageId, Version),
}

/// A change, and the channel for its answer: the record that was written, or was removed.
pub(super) struct Request {
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Result<Arc<Record>>>,
}

pub(super) struct Committer {
    pub(super) snapshot: Snapshot,
    pub(super) journal: Journal,
    pub(super) index: Arc<Index>,
    pub(super) health: Arc<Health>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) owner_limits: OwnerLimits,
    /// Most deleted images of one owner that are remembered; `None` for any number.
    pub(super) max_deleted_images: Option<u64>,
}

/// The writes of a group that were accepted, before they are durable.
struct Group {
    working: Snapshot,
    frames: Vec<u8>,
    accepted: Vec<Accepted>,
    changed: Vec<ImageId>,
    purged: Vec<(ImageId, Version)>,
}

/// A write that was accepted and waits for the group to be durable.
struct Accepted {
    answer: oneshot::Sender<Result<Arc<Record>>>,
    record: Arc<Record>,
    /// Where it has to be decided again, by itself.
    write: Write,
}

impl Committer {
    /// Commits until nobody can send any more.
    pub(super) fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Request>) {
        let mut requests = Vec::new();
        while waiting.blocking_recv_many(&mut requests, MAX_GROUP_LEN) > 0 {
            self.commit(requests.drain(..));
        }
        self.backlog.close();
    }

    fn commit(&mut self, requests: impl Iterator<Item = Request>) {
        let mut group = Group {
            working: self.snapshot.clone(),
            frames: Vec::new(),
            accepted: Vec::new(),
            changed: Vec::new(),
            purged: Vec::new(),
        };
        for Request { write, answer } in requests {
            let accepted = self.health.check();
            match accepted.and_then(|()| self.decide(&mut group, &write)) {
                Ok(record) => group.accepted.push(Accepted {
                    answer,
                    record,
                    write,
                }),
                // A client that stopped waiting does not need the answer.
                Err(error) => drop(answer.send(Err(error))),
            }
        }
        if group.accepted.is_empty() {
            return;
        }
        match self.append(&group.frames) {
            Ok(()) => self.publish(group),
            Err(AppendError::NoSpace(error)) => self.commit_one_by_one(group.accepted, &error),
            Err(AppendError::Failed(error)) => {
                let reason = format!("the registry's journal cannot be written: {error}");
                self.give_up(reason, group.accepted);
            }
        }
    }

    fn append(&mut self, frames: &[u8]) -> std::result::Result<(), AppendError> {
        self.health.write_begins();
        let purged = || self.backlog.purged();
        let compacted = self.journal.compact_if_due(&self.snapshot, purged);
        let appended = compacted
            .map_err(AppendError::Failed)
            .and_then(|()| self.journal.append(frames));
        self.health.write_ends();
        appended
    }

    /// The disk became full with a group: only the writes that do not fit are refused.
    fn commit_one_by_one(&mut self, mut accepted: Vec<Accepted>, error: &std::io::Error) {
        if accepted.len() == 1 {
            let refused = accepted.into_iter().map(|accepted| accepted.answer);
            for answer in refused {
                tracing::warn!(%error, "a change of the registry does not fit on the disk");
                drop(answer.send(Err(no_space())));
            }
            return;
        }
        for Accepted { answer, write, .. } in accepted.drain(..) {
            self.commit(std::iter::once(Request { write, answer }));
        }
    }

    fn publish(&mut self, group: Group) {
        if self.health.check().is_err() {
            // Those who waited were told that the disk does not answer.
            let reason = "the disk answered too late".to_owned();
            return self.give_up(reason, group.accepted);
        }
        self.snapshot = group.working.clone();
        self.index.publish(group.working);
        self.backlog.add(group.changed, group.purged);
        for Accepted { answer, record, .. } in group.accepted {
            // A client that went away finds its write when it looks again.
            drop(answer.send(Ok(record)));
        }
    }

    fn give_up(&self, reason: String, accepted: Vec<Accepted>) {
        if self.health.check().is_ok() {
            self.health.fail(reason);
        }
        for Accepted { answer, .. } in accepted {
            drop(answer.send(Err(self.health.refusal())));
        }
    }

    /// Decides one write and enters it into the group.
    fn decide(&mut self, group: &mut Group, write: &Write) -> Result<Arc<Record>> {
        let (image, seen) = match write {
            Write::Insert(image) => (image, 0),
            Write::Replace(image, seen) => (image, *seen),
            Write::Purge(id, seen) => return purge(group, id, *seen),
        };
        let current = group.working.get(&image.id);
        let before = current.map_or(0, |record| record.version);
        if before != seen {
            return Err(conflict(image.id, seen));
        }
        // An image that was registered, forgotten and registered again.
        let purged = self.purged_version(group, &image.id);
        let record = Record::new(image.clone(), before.max(purged) + 1);
        check_owner(&group.working, &record.image, self.owner_limits)?;
        let bytes = codec::encode(&record).map_err(record_refusal)?;
        let ends = frees_resources(current.map(|record| &record.image), image);
        let pending_bytes = group.frames.len() + bytes.len() + FRAME_BYTES;
        if !ends && !self.journal.has_space(pending_bytes) {
            return Err(no_space());
        }
        push(&mut group.frames, &image.id, record.version, &bytes);
        let record = Arc::new(record);
        group.working.put(Arc::clone(&record));
        group.changed.push(image.id);
        if image.is_tombstone() {
            self.purge_oldest_deleted(group, image.owner.as_deref());
        }
        Ok(record)
    }

    fn purged_version(&self, group: &Group, id: &ImageId) -> Version {
        let mut in_group = group.purged.iter().rev();
        match in_group.find(|(purged, _)| purged == id) {
            Some((_, version)) => *version,
            None => self.backlog.purged_version(id),
        }
    }

    /// Forgets the oldest deleted images of an owner who has too many.
    fn purge_oldest_deleted(&self, group: &mut Group, owner: Option<&str>) {
        let Some(most) = self.max_deleted_images else {
            return;
        };
        if group.working.deleted_images(owner) <= most {
            return;
        }
        // A tenth at a time, since all of them are looked at.
        let oldest = group.working.oldest_deleted(owner, most - most / 10);
        tracing::info!(images = oldest.len(), owner, "deleted images are purged");
        for record in oldest {
            group.purge(&record);
        }
    }
}

/// More than a frame has beside its record.
const FRAME_BYTES: usize = 64;

impl Group {
    fn purge(&mut self, record: &Record) {
        let (id, version) = (record.image.id, record.version + 1);
        push(&mut self.frames, &id, version, &[]);
        self.working.remove(&id);
        self.changed.push(id);
        self.purged.push((id, version));
    }
}

/// Whether a write ends something, and so may use the space that is reserved: deletions make
/// room, and an upload that has its data on the disk is not thrown away for its record.
fn frees_resources(before: Option<&Image>, after: &Image) -> bool {
    let Some(before) = before else {
        return false;
    };
    let is_over = |status| {
        matches!(
            status,
            Status::Deleted | Status::PendingDelete | Status::Killed
        )
    };
    is_over(after.status) || (before.upload.is_some() && after.upload.is_none())
}

fn purge(group: &mut Group, id: &ImageId, seen: Version) -> Result<Arc<Record>> {
    let current = group.working.get(id).map(Arc::clone);
    let current = current.filter(|record| record.version == seen);
    let record = current.ok_or_else(|| conflict(*id, seen))?;
    if !record.image.is_tombstone() {
        let message = format!("Image {id} is not deleted, or its data are still there.");
        return Err(Error::new(Kind::Conflict, message));
    }
    group.purge(&record);
    Ok(record)
}

fn conflict(id: ImageId, seen: Version) -> Error {
    match seen {
        0 => {
            let message = format!("Image with identifier {id} already exists!");
            Error::new(Kind::Conflict, message)
        }
        _ => {
            let message = format!("Image {id} was changed by another request.");
            Error::new(Kind::Stale, message)
        }
    }
}

/// Refuses a change that takes an owner past its limits. Here, where one write is decided
/// after the other, no two of them can take the same last byte.
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

fn record_refusal(error: CodecError) -> Error {
    match error {
        CodecError::TooLarge(_) => Error::new(
            Kind::TooLarge,
            format!("The image's metadata have more than {MAX_RECORD_BYTES} bytes."),
        )
        .because(error),
        _ => Error::internal(error),
    }
}
