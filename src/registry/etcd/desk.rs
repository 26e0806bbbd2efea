//! Where questions to etcd are answered, on the registry's thread.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetOptions, KeyValue, Txn, TxnOp};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::super::{Record, unavailable};
use super::age::Age;
use super::cluster::{Away, Cluster};
use super::keys::Keys;
use super::options::EtcdOptions;
use super::replica::Replica;
use crate::error::{Error, Result};
use crate::image::{ImageId, OwnerLimits};

/// Between two attempts to write.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Longest time for a write that only tries whether etcd accepts any.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Writes of one owner's images follow one another; owners share so many queues.
const QUEUES: usize = 64;

pub(super) const CANNOT_WRITE: &str = "The registry cannot be written.";

/// What is needed to answer.
pub(super) struct Desk {
    pub(super) cluster: Cluster,
    pub(super) keys: Keys,
    pub(super) replica: Replica,
    /// Is told of refused writes.
    pub(super) age: Arc<Age>,
    pub(super) limits: OwnerLimits,
    queues: Vec<Mutex<()>>,
}

impl Desk {
    pub(super) fn new(
        cluster: Cluster,
        replica: Replica,
        age: Arc<Age>,
        options: &EtcdOptions,
    ) -> Self {
        Self {
            cluster,
            keys: Keys::below(&options.prefix),
            replica,
            age,
            limits: options.owner_limits,
            queues: (0..QUEUES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Looks for a record in etcd itself.
    pub(super) async fn find(
        &self,
        id: &ImageId,
        deadline: Instant,
    ) -> Result<Option<Arc<Record>>> {
        let key = self.keys.image(id);
        let found = self.cluster.get(&key, &GetOptions::new(), deadline).await;
        let found = found.map_err(|away| unavailable("The registry cannot be asked.", away))?;
        let Some(kv) = found.kvs().first() else {
            return Ok(None);
        };
        match self.replica.take_key(&self.keys, kv) {
            // Or a later one, which came while this was on its way.
            Some(record) => Ok(self.replica.record(id).or(Some(record))),
            None => Err(Error::internal(format!(
                "the record of image {id} cannot be read by this release; the log says why"
            ))),
        }
    }

    /// The record of an image in etcd itself, as etcd answers.
    pub(super) async fn look(
        &self,
        id: &ImageId,
        deadline: Instant,
    ) -> std::result::Result<Option<KeyValue>, Away> {
        let key = self.keys.image(id);
        let mut found = self.cluster.get(&key, &GetOptions::new(), deadline).await?;
        Ok(found.take_kvs().pop())
    }

    /// Tries a write that changes no record, while etcd refuses every write: so that health
    /// checks succeed again when it accepts them, also without requests.
    pub(super) async fn probe(&self) {
        if self.age.refusal().is_none() {
            return;
        }
        let put = Txn::new().and_then(vec![TxnOp::put(self.keys.probe(), "", None)]);
        let deadline = Instant::now() + PROBE_LIMIT;
        match self.cluster.txn(put, deadline).await {
            Ok(_) => {
                tracing::info!("etcd accepts writes again");
                self.age.set_refusal(None);
            }
            Err(away) if away.is_final => self.age.set_refusal(Some(away.to_string())),
            Err(_) => {}
        }
    }

    /// The end of the queue of an owner's writes.
    pub(super) async fn turn_of(&self, owner: Option<&str>) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        owner.hash(&mut hasher);
        let place = hasher.finish() as usize % self.queues.len();
        self.queues[place].lock().await
    }
}
