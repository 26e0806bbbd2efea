//! The state of the registry's thread, which executes all requests to etcd: reads of single
//! records, the probe for refused writes, and the queues that order writes per owner.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetOptions, KeyValue, Txn, TxnOp};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::super::Record;
use super::super::refusals::{CANNOT_READ, unavailable};
use super::cluster::{Cluster, EtcdRequestError};
use super::document_replica::DocumentReplica;
use super::keys::Keys;
use super::options::EtcdOptions;
use super::replica::Replica;
use super::staleness::Staleness;
use crate::error::{Error, Result};
use crate::image::{ImageId, OwnerLimits};

/// Delay between two attempts to write.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Maximum time for a write that only checks whether etcd accepts writes.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Number of queues. Writes to the images of one owner are executed one after the other; several
/// owners may share a queue.
const QUEUES: usize = 64;

/// Everything that the registry's thread needs to execute a request.
pub(super) struct EtcdState {
    pub(super) cluster: Cluster,
    pub(super) keys: Keys,
    pub(super) replica: Replica,
    pub(super) documents: DocumentReplica,
    /// Records refused writes.
    pub(super) staleness: Arc<Staleness>,
    pub(super) limits: OwnerLimits,
    queues: Vec<Mutex<()>>,
}

impl EtcdState {
    pub(super) fn new(
        cluster: Cluster,
        replica: Replica,
        documents: DocumentReplica,
        staleness: Arc<Staleness>,
        options: &EtcdOptions,
    ) -> Self {
        Self {
            cluster,
            keys: Keys::below(&options.prefix),
            replica,
            documents,
            staleness,
            limits: options.owner_limits,
            queues: (0..QUEUES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Reads a record from etcd itself and adds it to the replica.
    pub(super) async fn fetch(
        &self,
        id: &ImageId,
        deadline: Instant,
    ) -> Result<Option<Arc<Record>>> {
        let key = self.keys.image(id);
        let found = self.cluster.get(&key, &GetOptions::new(), deadline).await;
        let found = found.map_err(|error| unavailable(CANNOT_READ, error))?;
        let Some(kv) = found.kvs().first() else {
            return Ok(None);
        };
        match self.replica.apply_key(&self.keys, kv) {
            // The replica may have a later one, which arrived while this one was read.
            Some(record) => Ok(self.replica.record(id).or(Some(record))),
            None => Err(Error::internal(format!(
                "the record of image {id} cannot be read by this release; the log says why"
            ))),
        }
    }

    /// Reads the key of an image from etcd itself.
    pub(super) async fn fetch_key(
        &self,
        id: &ImageId,
        deadline: Instant,
    ) -> std::result::Result<Option<KeyValue>, EtcdRequestError> {
        let key = self.keys.image(id);
        let mut found = self.cluster.get(&key, &GetOptions::new(), deadline).await?;
        Ok(found.take_kvs().pop())
    }

    /// Writes the probe key while etcd refuses every write. So health checks succeed again once
    /// etcd accepts writes, even if no client writes.
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

    /// Notes that etcd has accepted a write.
    pub(super) fn accepts_writes(&self) {
        if self.staleness.refusal().is_some() {
            self.staleness.set_refusal(None);
        }
    }

    /// Notes that etcd refuses every write.
    pub(super) fn refuses_writes(&self, error: &EtcdRequestError) {
        tracing::error!(%error, "etcd refuses a write");
        self.staleness.set_refusal(Some(error.to_string()));
    }

    /// Waits until no other write to the images of an owner is in progress, and locks its queue.
    pub(super) async fn lock_owner(&self, owner: Option<&str>) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        owner.hash(&mut hasher);
        let position = hasher.finish() as usize % self.queues.len();
        self.queues[position].lock().await
    }
}
