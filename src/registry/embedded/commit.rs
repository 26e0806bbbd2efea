//! The commit thread: the only writer of the registry.
//!
//! It takes all waiting writes at once (group commit), decides each by compare-and-swap against a
//! working copy of the state, appends the results to the journal and syncs the journal. Only then
//! does it publish the working copy and answer. So no reader sees an item that could still be
//! lost, and every acknowledged write survives a power cut. sled is written later by another
//! thread ([`sled_writer`](super::sled_writer)).
//!
//! If the disk is full, only the writes that do not fit are refused. A failed fsync is final: the
//! kernel may have dropped the pages it could not write, so a second fsync could succeed without
//! them. The registry then stays readable and refuses writes until the process is restarted.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::super::documents::{self, Document, DocumentKey};
use super::super::{Record, Version, codec, refusals};
use super::backlog::Backlog;
use super::health::{Health, no_space};
use super::journal::{AppendError, Journal, push};
use super::key::Key;
use super::options::MAX_GROUP_LEN;
use super::stored::{Published, Stored};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, OwnerLimits, Status, Usage};

/// A change of one item.
pub(super) enum Write {
    Insert(Image),
    Replace(Image, Version),
    /// Removes the record of a deleted image.
    Purge(ImageId, Version),
    PutDocument(Document, Version),
    DeleteDocument(DocumentKey, Version),
}

/// The result of a write.
pub(super) enum Committed {
    /// The record that was written or removed.
    Record(Arc<Record>),
    Document(Arc<Document>),
    /// A document was removed.
    Removed,
}

/// A change, and the channel for its result.
pub(super) struct Request {
    pub(super) write: Write,
    pub(super) answer: oneshot::Sender<Result<Committed>>,
}

pub(super) struct Committer {
    pub(super) stored: Stored,
    pub(super) journal: Journal,
    pub(super) published: Arc<Published>,
    pub(super) health: Arc<Health>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) owner_limits: OwnerLimits,
    /// Maximum number of deleted images that are remembered per owner; `None` for any number.
    pub(super) max_deleted_images: Option<u64>,
}

/// The accepted writes of a group, before they are durable.
struct Group {
    working: Stored,
    frames: Vec<u8>,
    accepted: Vec<Accepted>,
    changed: Vec<Key>,
    purged: Vec<(Key, Version)>,
}

/// A write that was accepted and waits until its group is durable.
struct Accepted {
    answer: oneshot::Sender<Result<Committed>>,
    result: Committed,
    /// The write itself, in case it has to be decided again outside the group.
    write: Write,
}

impl Committer {
    /// Commits requests until every sender is dropped.
    pub(super) fn run(mut self, mut waiting: mpsc::UnboundedReceiver<Request>) {
        let mut requests = Vec::new();
        while waiting.blocking_recv_many(&mut requests, MAX_GROUP_LEN) > 0 {
            self.commit(requests.drain(..));
        }
        self.backlog.close();
    }

    fn commit(&mut self, requests: impl Iterator<Item = Request>) {
        let mut group = Group {
            working: self.stored.clone(),
            frames: Vec::new(),
            accepted: Vec::new(),
            changed: Vec::new(),
            purged: Vec::new(),
        };
        for Request { write, answer } in requests {
            let healthy = self.health.check();
            match healthy.and_then(|()| self.decide(&mut group, &write)) {
                Ok(result) => group.accepted.push(Accepted {
                    answer,
                    result,
                    write,
                }),
                // The receiver is gone if the client stopped waiting; it needs no answer.
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
                self.fail(reason, group.accepted);
            }
        }
    }

    fn append(&mut self, frames: &[u8]) -> std::result::Result<(), AppendError> {
        self.health.write_begins();
        let purged = || self.backlog.purged();
        let compacted = self.journal.compact_if_due(&self.stored, purged);
        let appended = compacted
            .map_err(AppendError::Failed)
            .and_then(|()| self.journal.append(frames));
        self.health.write_ends();
        appended
    }

    /// Commits each write of a group by itself after the disk could not take all of them, so that
    /// only those that do not fit are refused.
    fn commit_one_by_one(&mut self, mut accepted: Vec<Accepted>, error: &std::io::Error) {
        if accepted.len() == 1 {
            for Accepted { answer, .. } in accepted {
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
            // The sync returned after its limit. The clients were already told that the write has
            // failed, so it must not become visible before a restart has read the journal.
            let reason = "the disk answered too late".to_owned();
            return self.fail(reason, group.accepted);
        }
        self.stored = group.working.clone();
        self.published.publish(group.working);
        self.backlog.add(group.changed, group.purged);
        for Accepted { answer, result, .. } in group.accepted {
            // A client that disconnected finds its write when it reads again.
            drop(answer.send(Ok(result)));
        }
    }

    fn fail(&self, reason: String, accepted: Vec<Accepted>) {
        if self.health.check().is_ok() {
            self.health.fail(reason);
        }
        for Accepted { answer, .. } in accepted {
            drop(answer.send(Err(self.health.refusal())));
        }
    }

    /// Decides one write and adds it to the group.
    fn decide(&mut self, group: &mut Group, write: &Write) -> Result<Committed> {
        match write {
            Write::Insert(image) => self.write_record(group, image, 0),
            Write::Replace(image, seen) => self.write_record(group, image, *seen),
            Write::Purge(id, seen) => purge(group, id, *seen),
            Write::PutDocument(document, seen) => self.put_document(group, document, *seen),
            Write::DeleteDocument(key, seen) => delete_document(group, key, *seen),
        }
    }

    fn write_record(
        &mut self,
        group: &mut Group,
        image: &Image,
        seen: Version,
    ) -> Result<Committed> {
        let current = group.working.images.get(&image.id);
        let before = current.map_or(0, |record| record.version);
        if before != seen {
            return Err(refusals::version_mismatch(&image.id, seen));
        }
        // An image that was purged and is inserted again continues the versions of its tombstone.
        // Otherwise sled, which may still have the purged record, would look newer than the
        // journal at the next start.
        let key = Key::Image(image.id);
        let purged = self.purged_version(group, &key);
        let record = Record::new(image.clone(), before.max(purged) + 1);
        check_owner(&group.working, &record.image, self.owner_limits)?;
        let bytes = codec::encode(&record).map_err(refusals::unencodable)?;
        let frees = frees_resources(current.map(|record| &record.image), image);
        if !frees && !self.has_space(group, bytes.len()) {
            return Err(no_space());
        }
        push(&mut group.frames, &key, record.version, &bytes);
        let record = Arc::new(record);
        group.working.images.put(Arc::clone(&record));
        group.changed.push(key);
        if image.is_tombstone() {
            self.purge_oldest_deleted(group, image.owner.as_deref());
        }
        Ok(Committed::Record(record))
    }

    fn put_document(
        &mut self,
        group: &mut Group,
        document: &Document,
        seen: Version,
    ) -> Result<Committed> {
        if group.working.documents.version_of(&document.key) != seen {
            return Err(refusals::document_mismatch(&document.key, seen));
        }
        document.check_size()?;
        let document = Document {
            version: group.working.documents.last_version() + 1,
            ..document.clone()
        };
        let bytes = documents::encode(&document).map_err(Error::internal)?;
        if !self.has_space(group, bytes.len()) {
            return Err(no_space());
        }
        let key = Key::Document(document.key.clone());
        push(&mut group.frames, &key, document.version, &bytes);
        let document = Arc::new(document);
        group.working.documents.put(Arc::clone(&document));
        group.changed.push(key);
        Ok(Committed::Document(document))
    }

    fn has_space(&mut self, group: &Group, bytes: usize) -> bool {
        let pending_bytes = group.frames.len() + bytes + MAX_FRAME_OVERHEAD_BYTES;
        self.journal.has_space(pending_bytes)
    }

    fn purged_version(&self, group: &Group, key: &Key) -> Version {
        let mut in_group = group.purged.iter().rev();
        match in_group.find(|(purged, _)| purged == key) {
            Some((_, version)) => *version,
            None => self.backlog.purged_version(key),
        }
    }

    /// Purges the oldest deleted images of an owner that has too many.
    fn purge_oldest_deleted(&self, group: &mut Group, owner: Option<&str>) {
        let Some(max) = self.max_deleted_images else {
            return;
        };
        if group.working.images.deleted_images(owner) <= max {
            return;
        }
        // A tenth at a time, because finding the oldest reads all of the owner's images.
        let oldest = group.working.images.oldest_deleted(owner, max - max / 10);
        tracing::info!(images = oldest.len(), owner, "deleted images are purged");
        for record in oldest {
            group.purge(&record);
        }
    }
}

/// Upper bound of the bytes that a frame has beside its record.
const MAX_FRAME_OVERHEAD_BYTES: usize = 320;

impl Group {
    fn purge(&mut self, record: &Record) {
        let (key, version) = (Key::Image(record.image.id), record.version + 1);
        self.working.images.remove(&record.image.id);
        self.remove(key, version);
    }

    /// Appends the tombstone of an item.
    fn remove(&mut self, key: Key, version: Version) {
        push(&mut self.frames, &key, version, &[]);
        self.changed.push(key.clone());
        self.purged.push((key, version));
    }
}

/// Returns true if a write may use the reserved disk space: deletions free space, and an upload
/// whose data are stored is not lost for want of space for its record.
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

fn purge(group: &mut Group, id: &ImageId, seen: Version) -> Result<Committed> {
    let current = group.working.images.get(id).map(Arc::clone);
    let current = current.filter(|record| record.version == seen);
    let record = current.ok_or_else(|| refusals::version_mismatch(id, seen))?;
    if !record.image.is_tombstone() {
        let message = format!("Image {id} is not deleted, or its data are still there.");
        return Err(Error::new(Kind::Conflict, message));
    }
    group.purge(&record);
    Ok(Committed::Record(record))
}

fn delete_document(group: &mut Group, key: &DocumentKey, seen: Version) -> Result<Committed> {
    let current = group.working.documents.version_of(key);
    if current == 0 || current != seen {
        return Err(refusals::document_changed(key));
    }
    let version = group.working.documents.last_version() + 1;
    group.working.documents.remove(key, version);
    group.remove(Key::Document(key.clone()), version);
    Ok(Committed::Removed)
}

/// Refuses a change that would exceed the limits of the image's owner. One thread decides all
/// writes, so two of them can never use the same remaining bytes.
fn check_owner(working: &Stored, image: &Image, limits: OwnerLimits) -> Result<()> {
    if limits == OwnerLimits::default() {
        return Ok(());
    }
    let current = working.images.get(&image.id).map(|record| &record.image);
    let before = current.filter(|current| current.owner == image.owner);
    let before = before.map_or_else(Usage::default, Usage::of);
    let mut others = working.images.usage(image.owner.as_deref());
    others -= before;
    let checked = limits.check(others, before, Usage::of(image));
    checked.map_err(|over| refusals::over_limit(&over))
}
