//! What this process knows of the records in etcd.
//!
//! Belongs to the registry's thread, which alone changes it; readers on every thread have the
//! index. Records come from the list at the start, from the watch, and from the answers to
//! commands and writes of our own, in any order: of two states of an image the later counts.

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

/// Owners of whom more is known than of others; what the watch has passed is forgotten.
const MAX_OWNER_REVISIONS: usize = 1024;

pub(super) struct Replica {
    index: Arc<Index>,
    staleness: Arc<Staleness>,
    snapshot: RefCell<Snapshot>,
    /// Everything up to this revision is in the snapshot.
    revision: watch::Sender<i64>,
    /// Owners of whose images all writes up to a later revision are in the snapshot.
    owner_revisions: RefCell<HashMap<Option<String>, i64>>,
    /// What has come while a list is read, which may be older than this.
    arrived_while_listing: RefCell<Option<Vec<Arc<Record>>>>,
    /// Records that this release cannot read.
    unreadable: Arc<UnreadableRecords>,
    /// The cluster that the list was read from.
    cluster_id: Cell<u64>,
    /// The newest write that is known of an image.
    newest_write: RefCell<Option<KnownWrite>>,
}

/// One write to a key. It stays true as long as the history of etcd stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownWrite {
    pub(super) key: Vec<u8>,
    revision: i64,
    version: i64,
    value_crc: u32,
}

/// All records at one revision.
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

    /// Whether a key can be in this state after this write: no key is ever removed.
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

    /// Something was heard that shows how things are now.
    pub(super) fn record_contact(&self) {
        self.staleness.record_contact();
    }

    /// The revision up to which every write to an owner's images is known.
    pub(super) fn owner_revision(&self, owner: Option<&str>) -> i64 {
        let owner_revisions = self.owner_revisions.borrow();
        let owner_revisions = owner_revisions.get(&owner.map(str::to_owned)).copied();
        owner_revisions.unwrap_or_default().max(self.revision())
    }

    /// Our own write to an owner's images, behind which there was none that we do not know.
    pub(super) fn set_owner_revision(&self, owner: Option<&str>, revision: i64) {
        let mut owner_revisions = self.owner_revisions.borrow_mut();
        if owner_revisions.len() >= MAX_OWNER_REVISIONS {
            let passed = self.revision();
            owner_revisions.retain(|_, revision| *revision > passed);
        }
        owner_revisions.insert(owner.map(str::to_owned), revision);
    }

    /// Returns when everything up to a revision is known.
    pub(super) async fn wait_for_revision(&self, revision: i64) {
        let mut reached = self.revision.subscribe();
        // The sender is here.
        let _ = reached.wait_for(|reached| *reached >= revision).await;
    }

    /// Takes one record in.
    pub(super) fn take(&self, record: Arc<Record>) {
        self.apply_all(vec![record]);
    }

    /// Takes in what is under a key, if it can be read.
    pub(super) fn apply_key(&self, keys: &Keys, kv: &KeyValue) -> Option<Arc<Record>> {
        match keys.read(kv) {
            Ok(record) => {
                self.take(Arc::clone(&record));
                Some(record)
            }
            Err(unread) => {
                self.exclude(vec![unread]);
                None
            }
        }
    }

    /// Takes in what the watch says has come after everything that is known.
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

    /// The newest write that is known of an image.
    pub(super) fn newest_write(&self) -> Option<KnownWrite> {
        self.newest_write.borrow().clone()
    }

    /// The cluster that the list was read from.
    pub(super) fn cluster_id(&self) -> u64 {
        self.cluster_id.get()
    }

    /// The records that are known belong to another history than that of etcd. Reads are
    /// refused until a new list has been read.
    pub(super) fn invalidate(&self, why: &str) {
        self.staleness.invalidate(why);
    }

    /// A list is about to be read.
    pub(super) fn begin_listing(&self) {
        *self.arrived_while_listing.borrow_mut() = Some(Vec::new());
    }

    /// Begins anew with a list.
    pub(super) fn finish_listing(&self, listing: Listing) {
        let since = self.arrived_while_listing.take().unwrap_or_default();
        *self.snapshot.borrow_mut() = listing.snapshot;
        // Revisions of another history say nothing about this one.
        self.owner_revisions.borrow_mut().clear();
        self.cluster_id.set(listing.cluster_id);
        *self.newest_write.borrow_mut() = listing.newest_write;
        self.unreadable.replace_all(listing.unread);
        self.apply_all(since);
        self.index.publish(self.snapshot.borrow().clone());
        self.revision.send_replace(listing.revision);
        self.staleness.record_contact();
    }

    /// Takes records that this release cannot read out of the index: their former states are
    /// not true any more.
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
