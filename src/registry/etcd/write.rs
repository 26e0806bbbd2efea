//! Writes a record in one transaction, which decides everything.
//!
//! The transaction compares the version of the record with the one that the writer has seen. If
//! owners have limits, it also compares the last write to the owner's images with the last one that
//! this server knows: only if they are equal, the usage that was checked here is the current one.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp, TxnOpResponse};
use etcd_client::{KeyValue, TxnResponse};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::refusals::{CANNOT_WRITE, unavailable};
use super::super::{Record, Version, codec, refusals};
use super::cluster::EtcdRequestError;
use super::keys::{record_of, version_of};
use super::state::{EtcdState, PAUSE};
use crate::error::{Error, Result};
use crate::image::{Image, OverLimit, OwnerLimits, Usage};

/// A write to execute.
pub(super) struct Write {
    pub(super) image: Image,
    /// The version that the writer has seen; zero to insert the image.
    pub(super) seen: Version,
}

/// The effect of a write on the usage of owners.
struct Effect {
    /// The owner of the image, if its usage changes.
    changed_owner: Option<Option<String>>,
    /// The previous owner, if the image was given to another one.
    previous_owner: Option<Option<String>>,
    before: Usage,
    after: Usage,
}

/// The outcome of a transaction.
enum Outcome {
    Written(Arc<Record>),
    /// The record has another version.
    Conflicting(Option<KeyValue>),
    /// Another server wrote to an image of the owner, at this revision.
    OwnerChanged(i64),
}

impl EtcdState {
    /// Executes a write.
    pub(super) async fn write(&self, write: Write, deadline: Instant) -> Result<Arc<Record>> {
        let Write { image, seen } = write;
        let record = Arc::new(Record::new(image, seen + 1));
        let value = codec::encode(&record).map_err(refusals::unencodable)?;
        let _lock = match self.limits == OwnerLimits::default() {
            true => None,
            // Concurrent writes of one owner would make each other's comparison fail.
            false => Some(self.lock_owner(record.image.owner.as_deref()).await),
        };
        // True once an attempt has had no answer: it may have been executed, or may still be.
        let mut is_unknown = false;
        loop {
            if is_unknown && let Some(settled) = self.settle_unknown(&record, deadline).await? {
                return Ok(settled);
            }
            let current = self.replica.record(&record.image.id);
            let current_version = current.as_ref().map_or(0, |current| current.version);
            if current_version > seen && is_unknown {
                // The watch has reported a write, possibly this one: read the record.
                continue;
            }
            if current_version > seen {
                return Err(conflict(&record));
            }
            let current = current.filter(|current| current.version == seen);
            if seen > 0 && current.is_none() {
                // The image does not exist, or the watch has not reported it yet.
                let found = self.fetch(&record.image.id, deadline).await?;
                if found.is_none_or(|found| found.version != seen) {
                    return Err(conflict(&record));
                }
                continue;
            }
            let effect = Effect::of(current.as_ref().map(|current| &current.image), &record);
            let owner_revision = self.replica.owner_revision(record.image.owner.as_deref());
            // Checked again in every attempt. A late execution of an earlier attempt cannot exceed
            // the limits: it compares the owner's last write with the one it was checked against.
            if let Err(over) = self.check_limits(&record, &effect) {
                self.refuse(over, &record, owner_revision, deadline).await?;
                continue;
            }
            let txn = self.transaction(&record, &value, &effect, owner_revision);
            match self.cluster.txn(txn, deadline).await {
                Ok(response) => {
                    self.accepts_writes();
                    match self.outcome(&record, &effect, owner_revision, &response) {
                        Outcome::Written(record) => return Ok(record),
                        Outcome::Conflicting(kv) => return self.settle(&record, kv, is_unknown),
                        Outcome::OwnerChanged(revision) => {
                            self.catch_up(revision, deadline).await?
                        }
                    }
                }
                Err(error) if error.is_permanent => {
                    self.refuses_writes(&error);
                    return Err(lost(error));
                }
                Err(error) => {
                    is_unknown |= !error.is_unsent;
                    if Instant::now() + PAUSE >= deadline {
                        return Err(lost(error));
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Returns the record if an attempt without an answer has written it; `None` if the record
    /// still has the version that was seen.
    async fn settle_unknown(
        &self,
        record: &Arc<Record>,
        deadline: Instant,
    ) -> Result<Option<Arc<Record>>> {
        let current = self
            .fetch_key(&record.image.id, deadline)
            .await
            .map_err(lost)?;
        let version = current.as_ref().map_or(0, version_of);
        if let Some(kv) = &current {
            self.replica.apply_key(&self.keys, kv);
        }
        match version + 1 == record.version {
            true => Ok(None),
            false => self.settle(record, current, true).map(Some),
        }
    }

    /// Checks the owner's limits against the known usage.
    fn check_limits(&self, record: &Record, effect: &Effect) -> std::result::Result<(), OverLimit> {
        let mut others = self.replica.usage(record.image.owner.as_deref());
        others -= effect.before;
        self.limits.check(others, effect.before, effect.after)
    }

    /// Refuses the write if the known usage of the owner is current; otherwise waits until it is.
    async fn refuse(
        &self,
        over: OverLimit,
        record: &Record,
        known: i64,
        deadline: Instant,
    ) -> Result<()> {
        let key = self.keys.owner(record.image.owner.as_deref());
        let guard = self.cluster.get(&key, &GetOptions::new(), deadline).await;
        let guard = guard.map_err(lost)?;
        let moved = guard.kvs().first().map_or(0, KeyValue::mod_revision);
        if moved <= known {
            return Err(refusals::over_limit(&over));
        }
        self.catch_up(moved, deadline).await
    }

    async fn catch_up(&self, revision: i64, deadline: Instant) -> Result<()> {
        let reached = timeout_at(deadline, self.replica.wait_for_revision(revision)).await;
        let cause = "the watch of etcd is behind";
        reached.map_err(|_| unavailable(CANNOT_WRITE, cause))
    }

    fn transaction(&self, record: &Record, value: &[u8], effect: &Effect, known: i64) -> Txn {
        let image = self.keys.image(&record.image.id);
        let owner = self.keys.owner(record.image.owner.as_deref());
        let seen = i64::try_from(record.version - 1).unwrap_or(i64::MAX);
        let mut when = vec![Compare::version(image.clone(), CompareOp::Equal, seen)];
        if effect.changed_owner.is_some() && self.limits != OwnerLimits::default() {
            let known = known.saturating_add(1);
            when.push(Compare::mod_revision(owner.clone(), CompareOp::Less, known));
        }
        let mut then = vec![TxnOp::put(image.clone(), value, None)];
        for touched in [&effect.changed_owner, &effect.previous_owner]
            .into_iter()
            .flatten()
        {
            let key = self.keys.owner(touched.as_deref());
            then.push(TxnOp::put(key, "", None));
        }
        let reads = vec![TxnOp::get(image, None), TxnOp::get(owner, None)];
        Txn::new().when(when).and_then(then).or_else(reads)
    }

    fn outcome(
        &self,
        record: &Arc<Record>,
        effect: &Effect,
        known: i64,
        response: &TxnResponse,
    ) -> Outcome {
        let revision = response.header().map_or(0, |header| header.revision());
        if response.succeeded() {
            self.replica.apply(Arc::clone(record));
            // The comparison has proved that no other write to the owner's images came between.
            if let Some(owner) = &effect.changed_owner
                && self.limits != OwnerLimits::default()
            {
                self.replica.set_owner_revision(owner.as_deref(), revision);
            }
            return Outcome::Written(Arc::clone(record));
        }
        let mut reads = response.op_responses().into_iter().map(|read| match read {
            TxnOpResponse::Get(mut found) => found.take_kvs().pop(),
            _ => None,
        });
        let current = reads.next().flatten();
        let moved = reads.next().flatten().map_or(0, |kv| kv.mod_revision());
        if let Some(kv) = &current {
            self.replica.apply_key(&self.keys, kv);
        }
        let version = current.as_ref().map_or(0, version_of);
        match version + 1 == record.version && moved > known {
            true => Outcome::OwnerChanged(moved),
            false => Outcome::Conflicting(current),
        }
    }

    /// Returns the outcome of a write that has found another version. An earlier attempt of the
    /// same write, whose answer was lost, may have left it.
    fn settle(
        &self,
        record: &Arc<Record>,
        current: Option<KeyValue>,
        is_unknown: bool,
    ) -> Result<Arc<Record>> {
        let version = current.as_ref().map_or(0, version_of);
        if is_unknown && version == record.version {
            let current = current.and_then(|kv| record_of(&kv).ok());
            if current.is_some_and(|current| current.image == record.image) {
                return Ok(Arc::clone(record));
            }
        }
        match is_unknown && version > record.version {
            // Another write followed. It cannot be determined which version this write has left.
            true => Err(unavailable(CANNOT_WRITE, "an answer of etcd was lost")),
            false => Err(conflict(record)),
        }
    }
}

impl Effect {
    fn of(current: Option<&Image>, record: &Record) -> Self {
        let image = &record.image;
        let same_owner = current.is_some_and(|current| current.owner == image.owner);
        let was = current.map_or_else(Usage::default, Usage::of);
        let after = Usage::of(image);
        let before = if same_owner { was } else { Usage::default() };
        let previous = current.filter(|_| !same_owner);
        Self {
            changed_owner: (before != after).then(|| image.owner.clone()),
            previous_owner: previous.map(|current| current.owner.clone()),
            before,
            after,
        }
    }
}

fn conflict(record: &Record) -> Error {
    refusals::version_mismatch(&record.image.id, record.version - 1)
}

fn lost(error: EtcdRequestError) -> Error {
    unavailable(CANNOT_WRITE, error)
}
