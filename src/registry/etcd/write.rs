//! Writing a record: one transaction that decides everything.
//!
//! It compares the count of writes to the record with the version that was seen, and where
//! owners have limits, the last write to the owner's images with the last one that is known
//! here: only then is what they take up what was judged.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetOptions, Txn, TxnOp, TxnOpResponse};
use etcd_client::{KeyValue, TxnResponse};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::codec::{self, CodecError, MAX_RECORD_BYTES};
use super::super::{Record, Version, unavailable};
use super::cluster::EtcdRequestError;
use super::keys::{record_of, version_of};
use super::state::{CANNOT_WRITE, EtcdState, PAUSE};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, OverLimit, OwnerLimits, Usage};

/// A write that is to be carried out.
pub(super) struct Write {
    pub(super) image: Image,
    /// Zero for an image that is not there yet.
    pub(super) seen: Version,
}

/// What a write changes of what owners' images take up.
struct Effect {
    /// Whose it is, when it takes up something else than before.
    grows_for: Option<Option<String>>,
    /// Whose it was, when it is somebody else's now.
    shrinks_for: Option<Option<String>>,
    before: Usage,
    after: Usage,
}

/// What the transaction has come to.
enum Outcome {
    Written(Arc<Record>),
    /// The record has another version.
    Conflicting(Option<KeyValue>),
    /// Somebody wrote to an image of the owner: at this revision.
    OwnerChanged(i64),
}

impl EtcdState {
    /// Carries a write out.
    pub(super) async fn write(&self, write: Write, deadline: Instant) -> Result<Arc<Record>> {
        let Write { image, seen } = write;
        let record = Arc::new(Record::new(image, seen + 1));
        let value = codec::encode(&record).map_err(refuse_record)?;
        let _turn = match self.limits == OwnerLimits::default() {
            true => None,
            // Those of one owner one after the other: at once they would only collide.
            false => Some(self.lock_owner(record.image.owner.as_deref()).await),
        };
        // Whether an earlier attempt may have been carried out, or may still be.
        let mut is_unknown = false;
        loop {
            if is_unknown && let Some(settled) = self.settle_unknown(&record, deadline).await? {
                return Ok(settled);
            }
            let current = self.replica.record(&record.image.id);
            let current_version = current.as_ref().map_or(0, |current| current.version);
            if current_version > seen && is_unknown {
                // The watch has brought a write: perhaps this one.
                continue;
            }
            if current_version > seen {
                return Err(overtaken(&record));
            }
            let current = current.filter(|current| current.version == seen);
            if seen > 0 && current.is_none() {
                // Of an image that is not there, or nobody here has heard of it yet.
                let found = self.fetch(&record.image.id, deadline).await?;
                if found.is_none_or(|found| found.version != seen) {
                    return Err(overtaken(&record));
                }
                continue;
            }
            let effect = Effect::of(current.as_ref().map(|current| &current.image), &record);
            let known_of_owner = self.replica.owner_revision(record.image.owner.as_deref());
            // Judged again in every attempt. One that had no answer cannot be carried out late
            // past a limit: it compares the owner's last write with the one it was judged by.
            if let Err(over) = self.judge(&record, &effect) {
                self.refuse(over, &record, known_of_owner, deadline).await?;
                continue;
            }
            let txn = self.transaction(&record, &value, &effect, known_of_owner);
            match self.cluster.txn(txn, deadline).await {
                Ok(response) => {
                    if self.staleness.refusal().is_some() {
                        self.staleness.set_refusal(None);
                    }
                    match self.outcome(&record, &effect, known_of_owner, &response) {
                        Outcome::Written(record) => return Ok(record),
                        Outcome::Conflicting(kv) => return self.settle(&record, kv, is_unknown),
                        Outcome::OwnerChanged(revision) => {
                            self.catch_up(revision, deadline).await?
                        }
                    }
                }
                Err(error) if error.is_permanent => {
                    tracing::error!(%error, "etcd refuses a write");
                    self.staleness.set_refusal(Some(error.to_string()));
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

    /// The record, if an attempt that had no answer has written it; `None` if the record is
    /// still the one that was seen.
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

    /// Whether the owner may have so much, as far as is known here.
    fn judge(&self, record: &Record, effect: &Effect) -> std::result::Result<(), OverLimit> {
        let mut others = self.replica.usage(record.image.owner.as_deref());
        others -= effect.before;
        self.limits.check(others, effect.before, effect.after)
    }

    /// Refuses, if nothing has happened that is not known here; else waits until it is.
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
            return Err(Error::new(Kind::TooLarge, over.to_string()));
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
        if effect.grows_for.is_some() && self.limits != OwnerLimits::default() {
            let known = known.saturating_add(1);
            when.push(Compare::mod_revision(owner.clone(), CompareOp::Less, known));
        }
        let mut then = vec![TxnOp::put(image.clone(), value, None)];
        for touched in [&effect.grows_for, &effect.shrinks_for]
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
            self.replica.take(Arc::clone(record));
            // The comparison has shown that nothing was between.
            if let Some(owner) = &effect.grows_for
                && self.limits != OwnerLimits::default()
            {
                self.replica.set_owner_revision(owner.as_deref(), revision);
            }
            return Outcome::Written(Arc::clone(record));
        }
        let mut looks = response.op_responses().into_iter().map(|read| match read {
            TxnOpResponse::Get(mut found) => found.take_kvs().pop(),
            _ => None,
        });
        let current = looks.next().flatten();
        let moved = looks.next().flatten().map_or(0, |kv| kv.mod_revision());
        if let Some(kv) = &current {
            self.replica.apply_key(&self.keys, kv);
        }
        let version = current.as_ref().map_or(0, version_of);
        match version + 1 == record.version && moved > known {
            true => Outcome::OwnerChanged(moved),
            false => Outcome::Conflicting(current),
        }
    }

    /// What a write has come to that found another version: it may be what an earlier attempt
    /// of it left, whose answer did not come.
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
            // Somebody wrote after it, or before it: nobody can tell.
            true => Err(unavailable(CANNOT_WRITE, "an answer of etcd got lost")),
            false => Err(overtaken(record)),
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
        let gives_away = current.filter(|_| !same_owner);
        Self {
            grows_for: (before != after).then(|| image.owner.clone()),
            shrinks_for: gives_away.map(|current| current.owner.clone()),
            before,
            after,
        }
    }
}

fn overtaken(record: &Record) -> Error {
    let id = record.image.id;
    match record.version {
        1 => Error::new(
            Kind::Conflict,
            format!("Image with identifier {id} already exists!"),
        ),
        _ => Error::new(
            Kind::Stale,
            format!("Image {id} was changed by another request."),
        ),
    }
}

fn lost(error: EtcdRequestError) -> Error {
    unavailable(CANNOT_WRITE, error)
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
