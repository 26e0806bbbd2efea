//! Where commands to etcd are answered, on the registry's thread.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetOptions, KeyValue, Txn, TxnOp};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::super::{Record, unavailable};
use super::cluster::{Cluster, EtcdRequestError};
use super::keys::Keys;
use super::options::EtcdOptions;
use super::replica::Replica;
use super::staleness::Staleness;
use crate::error::{Error, Result};
use crate::image::{ImageId, OwnerLimits};

/// Between two attempts to write.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Longest time for a write that only tries whether etcd accepts any.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes of one owner's images follow one another; owners share so many queues.
const QUEUES: usize = 64;

pub(super) const CANNOT_WRITE: &str = "The registry cannot be written.";

/// What is needed to answer.
pub(super) struct EtcdState {
    pub(super) cluster: Cluster,
    pub(super) keys: Keys,
    pub(super) replica: Replica,
    /// Is told of refused writes.
    pub(super) staleness: Arc<Staleness>,
    pub(super) limits: OwnerLimits,
    queues: Vec<Mutex<()>>,
}

impl EtcdState {
    pub(super) fn new(
        cluster: Cluster,
        replica: Replica,
        staleness: Arc<Staleness>,
        options: &EtcdOptions,
    ) -> Self {
        Self {
            cluster,
            keys: Keys::below(&options.prefix),
            replica,
            staleness,
            limits: options.owner_limits,
            queues: (0..QUEUES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Looks for a record in etcd itself.
    pub(super) async fn fetch(
        &self,
        id: &ImageId,
        deadline: Instant,
    ) -> Result<Option<Arc<Record>>> {
        let key = self.keys.image(id);
        let found = self.cluster.get(&key, &GetOptions::new(), deadline).await;
        let found = found.map_err(|error| unavailable("The registry cannot be asked.", error))?;
        let Some(kv) = found.kvs().first() else {
            return Ok(None);
        };
        match self.replica.apply_key(&self.keys, kv) {
            // Or a later one, which came while this was on its way.
            Some(record) => Ok(self.replica.record(id).or(Some(record))),
            None => Err(Error::internal(format!(
                "the record of image {id} cannot be read by this release; the log says why"
            ))),
        }
    }

    /// The record of an image in etcd itself, as etcd answers.
    pub(super) async fn fetch_key(
        &self,
        id: &ImageId,
        deadline: Instant,
    ) -> std::result::Result<Option<KeyValue>, EtcdRequestError> {
        let key = self.keys.image(id);
        let mut found = self.cluster.get(&key, &GetOptions::new(), deadline).await?;
        Ok(found.take_kvs().pop())
    }

    /// Tries a write that changes no record, while etcd refuses every write: so that health
    /// checks succeed again when it accepts them, also without requests.
    pub(super) async fn probe(&self) {
        if self.staleness.refusal().is_none() {
            return;
        }
        let put = Txn::new().and_then(vec![TxnOp::put(self.keys.probe(), "", None)]);
        let deadline = Instant::now() + PROBE_TIMEOUT;
        match self.cluster.txn(put, deadline).await {
            Ok(_) => {
                tracing::info!("etcd accepts writes again");
                self.staleness.set_refusal(None);
            }
            Err(error) if error.is_permanent => self.staleness.set_refusal(Some(error.to_string())),
            Err(_) => {}
        }
    }

    /// The end of the queue of an owner's writes.
    pub(super) async fn lock_owner(&self, owner: Option<&str>) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        owner.hash(&mut hasher);
        let position = hasher.finish() as usize % self.queues.len();
        self.queues[position].lock().await
    }
}
