//! What this process knows of the records in etcd.
//!
//! Belongs to the registry's thread, which alone changes it; readers on every thread have the
//! index. Records come from the list at the start, from the watch, and from the answers to
//! questions and writes of our own, in any order: of two states of an image the later counts.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

use etcd_client::KeyValue;
use tokio::sync::watch;

use super::super::Record;
use super::super::index::{Index, Snapshot};
use super::age::Age;
use super::keys::{Keys, record_of, version_of};
use crate::image::{ImageId, Usage};

/// Owners of whom more is known than of others; what the watch has passed is forgotten.
const MOST_AHEAD: usize = 1024;

pub(super) struct Replica {
    index: Arc<Index>,
    age: Arc<Age>,
    snapshot: RefCell<Snapshot>,
    /// Everything up to this revision is in the snapshot.
    revision: watch::Sender<i64>,
    /// Owners of whose images all writes up to a later revision are in the snapshot.
    ahead: RefCell<HashMap<Option<String>, i64>>,
    /// What has come while a list is read, which may be older than this.
    since_list: RefCell<Option<Vec<Arc<Record>>>>,
    is_damage_told: Cell<bool>,
}

impl Replica {
    pub(super) fn new(index: Arc<Index>, age: Arc<Age>) -> Self {
        Self {
            index,
            age,
            snapshot: RefCell::new(Snapshot::of([])),
            revision: watch::Sender::new(0),
            ahead: RefCell::default(),
            since_list: RefCell::default(),
            is_damage_told: Cell::new(false),
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
    pub(super) fn heard(&self) {
        self.age.heard();
    }

    /// The revision up to which every write to an owner's images is known.
    pub(super) fn known_of(&self, owner: Option<&str>) -> i64 {
        let ahead = self.ahead.borrow();
        let ahead = ahead.get(&owner.map(str::to_owned)).copied();
        ahead.unwrap_or_default().max(self.revision())
    }

    /// Our own write to an owner's images, behind which there was none that we do not know.
    pub(super) fn know_of(&self, owner: Option<&str>, revision: i64) {
        let mut ahead = self.ahead.borrow_mut();
        if ahead.len() >= MOST_AHEAD {
            let passed = self.revision();
            ahead.retain(|_, revision| *revision > passed);
        }
        ahead.insert(owner.map(str::to_owned), revision);
    }

    /// Returns when everything up to a revision is known.
    pub(super) async fn reaches(&self, revision: i64) {
        let mut reached = self.revision.subscribe();
        // The sender is here.
        let _ = reached.wait_for(|reached| *reached >= revision).await;
    }

    /// Takes one record in.
    pub(super) fn take(&self, record: Arc<Record>) {
        self.take_all(vec![record]);
    }

    /// Takes in what is under a key, if it can be read.
    pub(super) fn take_key(&self, keys: &Keys, kv: &KeyValue) -> Option<Arc<Record>> {
        let record = self.read(keys, kv)?;
        self.take(Arc::clone(&record));
        Some(record)
    }

    /// Takes in what the watch says has come after everything that is known.
    pub(super) fn follow(&self, keys: &Keys, events: &[&KeyValue]) {
        let records = events.iter().filter_map(|kv| self.read(keys, kv));
        self.take_all(records.collect());
        if let Some(last) = events.iter().map(|kv| kv.mod_revision()).max() {
            self.revision.send_if_modified(|revision| {
                let is_later = last > *revision;
                *revision = last.max(*revision);
                is_later
            });
        }
    }

    /// A list is about to be read.
    pub(super) fn list_begins(&self) {
        *self.since_list.borrow_mut() = Some(Vec::new());
    }

    /// Begins anew with a list, as it was at a revision.
    pub(super) fn list_ends(&self, listed: Snapshot, revision: i64) {
        let since = self.since_list.take().unwrap_or_default();
        *self.snapshot.borrow_mut() = listed;
        self.take_all(since);
        self.index.publish(self.snapshot.borrow().clone());
        self.revision.send_replace(revision);
        self.age.heard();
    }

    fn take_all(&self, mut records: Vec<Arc<Record>>) {
        if let Some(since) = &mut *self.since_list.borrow_mut() {
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
        if !records.is_empty() {
            self.index.publish(snapshot.clone());
        }
    }

    fn read(&self, keys: &Keys, kv: &KeyValue) -> Option<Arc<Record>> {
        let id = keys.id_in(kv.key());
        match record_of(kv) {
            Ok(record) if Some(record.image.id) == id => Some(Arc::new(record)),
            Ok(_) => {
                self.tell_damage(kv, "it is the record of another image");
                None
            }
            Err(error) => {
                self.tell_damage(kv, &error.to_string());
                None
            }
        }
    }

    fn tell_damage(&self, kv: &KeyValue, error: &str) {
        if !self.is_damage_told.replace(true) {
            let key = String::from_utf8_lossy(kv.key()).into_owned();
            let version = version_of(kv);
            tracing::error!(
                key,
                version,
                error,
                "a record in etcd is damaged and its image not served; others may follow unsaid"
            );
        }
    }
}
