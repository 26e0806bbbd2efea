//! The local replica of the records in etcd.
//!
//! Only the registry's thread changes it; readers on every thread use the index that it publishes.
//! Records arrive from the initial list, from the watch and from the answers to own reads and
//! writes, in any order. Of two states of an image, the one with the higher version wins.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use etcd_client::KeyValue;
use tokio::sync::watch;

use super::super::Record;
use super::super::index::{Index, Snapshot};
use super::keys::{Keys, UnreadableRecord};
use super::staleness::Staleness;
use super::unreadable::UnreadableRecords;
use crate::image::{ImageId, Usage};

/// Maximum number of entries in `owner_revisions` before those that the watch has passed are
/// removed.
const MAX_OWNER_REVISIONS: usize = 1024;

pub(super) struct Replica {
    index: Arc<Index>,
    staleness: Arc<Staleness>,
    snapshot: RefCell<Snapshot>,
    /// The snapshot contains every write up to this revision.
    revision: watch::Sender<i64>,
    /// Owners for whose images the snapshot contains every write up to a later revision than
    /// `revision`.
    owner_revisions: RefCell<HashMap<Option<String>, i64>>,
    /// Records that arrived while a list is read. They may be newer than the list.
    arrived_while_listing: RefCell<Option<Vec<Arc<Record>>>>,
    /// The records that this release cannot read.
    unreadable: Arc<UnreadableRecords>,
    /// The cluster that the list was read from.
    cluster_id: Cell<u64>,
    /// The newest write of an image that is known.
    newest_write: RefCell<Option<KnownWrite>>,
}

/// One write to a key, as evidence of the history of etcd: after a restore from a backup, etcd
/// lacks the write or has another one in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownWrite {
    pub(super) key: Vec<u8>,
    revision: i64,
    version: i64,
    value_crc: u32,
}

/// The result of reading all records at one revision.
pub(super) struct Listing {
    pub(super) snapshot: Snapshot,
    pub(super) unread: Vec<UnreadableRecord>,
    pub(super) revision: i64,
    pub(super) cluster_id: u64,
    pub(super) newest_write: Option<KnownWrite>,
}

impl KnownWrite {
    pub(super) fn of(kv: &KeyValue) -> Self {
        Self {
            key: kv.key().to_vec(),
            revision: kv.mod_revision(),
            version: kv.version(),
            value_crc: crc32c::crc32c(kv.value()),
        }
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// Returns true if a key can be in this state after this write. The keys of images are never
    /// deleted.
    pub(super) fn agrees_with(&self, current: Option<&KeyValue>) -> bool {
        current.is_some_and(|current| match current.mod_revision() == self.revision {
            true => Self::of(current) == *self,
            false => current.mod_revision() > self.revision && current.version() > self.version,
        })
    }
}

impl Replica {
    pub(super) fn new(
        index: Arc<Index>,
        staleness: Arc<Staleness>,
        unreadable: Arc<UnreadableRecords>,
    ) -> Self {
        Self {
            index,
            staleness,
            snapshot: RefCell::new(Snapshot::of([])),
            revision: watch::Sender::new(0),
            owner_revisions: RefCell::default(),
            arrived_while_listing: RefCell::default(),
            unreadable,
            cluster_id: Cell::new(0),
            newest_write: RefCell::default(),
        }
    }

    pub(super) fn record(&self, id: &ImageId) -> Option<Arc<Record>> {
        self.snapshot.borrow().get(id).cloned()
    }

    pub(super) fn usage(&self, owner: Option<&str>) -> Usage {
        self.snapshot.borrow().usage(owner)
    }

    pub(super) fn revision(&self) -> i64 {
        *self.revision.borrow()
    }

    /// Notes that etcd has shown its current state.
    pub(super) fn record_contact(&self) {
        self.staleness.record_contact();
    }

    /// Returns the revision up to which every write to an owner's images is known.
    pub(super) fn owner_revision(&self, owner: Option<&str>) -> i64 {
        let owner_revisions = self.owner_revisions.borrow();
        let owner_revisions = owner_revisions.get(&owner.map(str::to_owned)).copied();
        owner_revisions.unwrap_or_default().max(self.revision())
    }

    /// Notes that every write to an owner's images up to the revision of an own write is known.
    pub(super) fn set_owner_revision(&self, owner: Option<&str>, revision: i64) {
        let mut owner_revisions = self.owner_revisions.borrow_mut();
        if owner_revisions.len() >= MAX_OWNER_REVISIONS {
            let passed = self.revision();
            owner_revisions.retain(|_, revision| *revision > passed);
        }
        owner_revisions.insert(owner.map(str::to_owned), revision);
    }

    /// Waits until every write up to a revision is known.
    pub(super) async fn wait_for_revision(&self, revision: i64) {
        let mut reached = self.revision.subscribe();
        // Fails only if the sender is dropped, and `self` owns it.
        let _ = reached.wait_for(|reached| *reached >= revision).await;
    }

    /// Adds one record.
    pub(super) fn apply(&self, record: Arc<Record>) {
        self.apply_all(vec![record]);
    }

    /// Adds the record under a key and returns it, if this release can read it.
    pub(super) fn apply_key(&self, keys: &Keys, kv: &KeyValue) -> Option<Arc<Record>> {
        match keys.read(kv) {
            Ok(record) => {
                self.apply(Arc::clone(&record));
                Some(record)
            }
            Err(unread) => {
                self.exclude(vec![unread]);
                None
            }
        }
    }

    /// Applies the writes that the watch reports, which follow everything known so far.
    pub(super) fn apply_events(&self, keys: &Keys, events: &[&KeyValue]) {
        let mut records = Vec::new();
        let mut unread = Vec::new();
        for kv in events {
            match keys.read(kv) {
                Ok(record) => records.push(record),
                Err(record) => unread.push(record),
            }
        }
        self.apply_all(records);
        self.exclude(unread);
        let last = events.iter().max_by_key(|kv| kv.mod_revision());
        if let Some(last) = last {
            *self.newest_write.borrow_mut() = Some(KnownWrite::of(last));
            let last = last.mod_revision();
            self.revision.send_if_modified(|revision| {
                let is_later = last > *revision;
                *revision = last.max(*revision);
                is_later
            });
        }
    }

    /// Returns the newest write of an image that is known.
    pub(super) fn newest_write(&self) -> Option<KnownWrite> {
        self.newest_write.borrow().clone()
    }

    /// Returns the cluster that the list was read from.
    pub(super) fn cluster_id(&self) -> u64 {
        self.cluster_id.get()
    }

    /// Refuses reads until a new list has been read: the known records belong to another history
    /// than etcd has.
    pub(super) fn invalidate(&self, why: &str) {
        self.staleness.invalidate(why);
    }

    /// Starts to collect the records that arrive while a list is read.
    pub(super) fn begin_listing(&self) {
        *self.arrived_while_listing.borrow_mut() = Some(Vec::new());
    }

    /// Replaces the content by a list and applies what has arrived meanwhile.
    pub(super) fn finish_listing(&self, listing: Listing) {
        let since = self.arrived_while_listing.take().unwrap_or_default();
        // The list replaces the replica even if its versions are lower: after a restore from a
        // backup they are. Records that arrived meanwhile may be newer than the list.
        *self.snapshot.borrow_mut() = listing.snapshot;
        // Revisions of another history say nothing about this one.
        self.owner_revisions.borrow_mut().clear();
        self.cluster_id.set(listing.cluster_id);
        *self.newest_write.borrow_mut() = listing.newest_write;
        self.unreadable.replace_all(listing.unread);
        self.apply_all(since);
        self.index.publish(self.snapshot.borrow().clone());
        // Last: both tell readers and writers that the published index has everything up to here.
        self.revision.send_replace(listing.revision);
        self.staleness.record_contact();
    }

    /// Removes images from the index whose current records this release cannot read: their former
    /// states are not valid any more.
    fn exclude(&self, unread: Vec<UnreadableRecord>) {
        let mut snapshot = self.snapshot.borrow_mut();
        let mut gone = HashSet::new();
        for unread in unread {
            let known = unread.id.and_then(|id| snapshot.get(&id));
            if known.is_some_and(|known| known.version > unread.version) {
                continue;
            }
            gone.extend(known.map(|known| known.image.id));
            self.unreadable.add(unread);
        }
        if !gone.is_empty() {
            let others = snapshot.records();
            let others = others.filter(|record| !gone.contains(&record.image.id));
            let others: Vec<_> = others.cloned().collect();
            *snapshot = Snapshot::of(others);
            self.index.publish(snapshot.clone());
        }
    }

    fn apply_all(&self, mut records: Vec<Arc<Record>>) {
        if let Some(since) = &mut *self.arrived_while_listing.borrow_mut() {
            since.extend(records.iter().cloned());
        }
        let mut snapshot = self.snapshot.borrow_mut();
        records.retain(|record| {
            let known = snapshot.get(&record.image.id);
            let is_later = known.is_none_or(|known| known.version < record.version);
            if is_later {
                snapshot.put(Arc::clone(record));
            }
            is_later
        });
        for record in &records {
            self.unreadable.remove(&record.image.id);
        }
        if !records.is_empty() {
            self.index.publish(snapshot.clone());
        }
    }
}
