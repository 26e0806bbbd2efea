//! Keeps the replica up to date: reads all records at one revision, and then watches from the next
//! revision on.
//!
//! A broken watch continues from its last revision at another member. All records are read again
//! if etcd has compacted the revisions that follow, or if it has another history because it was
//! restored from a backup.

use std::time::Duration;

use etcd_client::{EventType, GetOptions, WatchOptions, WatchResponse, WatchStream};
use tokio::time::{Instant, interval, sleep, timeout};

use super::cluster::{Cluster, EtcdRequestError};
use super::keys::Keys;
use super::load::load;
use super::replica::Replica;
use crate::metrics;

/// Interval at which the progress of the watch is requested. The response proves that the watch is
/// current even if no record changes.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// Silence after which the watch moves to another member.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
/// Maximum time for the comparison of histories.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why a watch has ended.
enum Ended {
    /// The revisions that follow are compacted, or a record was deleted, which no server does.
    ListAgain(String),
    /// The watch can continue at another member.
    Broken(String),
    /// etcd has another history than the known records: it was restored from a backup or replaced
    /// by another cluster.
    Restored(String),
}

/// Keeps the replica up to date. Never returns.
pub(super) async fn run(cluster: &Cluster, keys: &Keys, replica: &Replica) {
    let mut must_list = true;
    loop {
        if must_list {
            if let Err(error) = load(cluster, keys, replica).await {
                tracing::warn!(%error, "the records cannot be read from etcd; trying again");
                sleep(PAUSE).await;
                continue;
            }
            must_list = false;
        }
        match watch(cluster, keys, replica).await {
            Ended::ListAgain(reason) => {
                tracing::info!(reason, "reading all records from etcd again");
                must_list = true;
            }
            Ended::Restored(reason) => {
                tracing::error!(
                    reason,
                    "etcd was restored from a backup or replaced; reading all records again"
                );
                metrics::registry_restored();
                replica.invalidate(&format!("etcd was restored or replaced: {reason}"));
                must_list = true;
            }
            Ended::Broken(reason) => {
                tracing::warn!(reason, "the watch of etcd broke; watching another member");
                cluster.switch_member();
                sleep(PAUSE).await;
            }
        }
    }
}

async fn watch(cluster: &Cluster, keys: &Keys, replica: &Replica) -> Ended {
    // A watch from a revision that a restored etcd has not reached yet would silently wait for it,
    // so the history is compared before each watch.
    match other_history(cluster, keys, replica).await {
        Ok(None) => {}
        Ok(Some(reason)) => return Ended::Restored(reason),
        Err(error) => return Ended::Broken(error.to_string()),
    }
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(replica.revision() + 1);
    let watching = cluster.watch(keys.images.as_bytes(), options).await;
    let mut stream = match watching {
        Ok(stream) => stream,
        Err(error) => return Ended::Broken(EtcdRequestError::to_string(&error)),
    };
    let mut progress = interval(PROGRESS_INTERVAL);
    loop {
        tokio::select! {
            _ = progress.tick() => {
                if let Err(error) = stream.request_progress().await {
                    return Ended::Broken(error.to_string());
                }
            }
            response = next_response(&mut stream) => match response {
                Ok(response) => {
                    if is_suspect(&response, replica)
                        && let Ok(Some(reason)) = other_history(cluster, keys, replica).await
                    {
                        return Ended::Restored(reason);
                    }
                    if let Err(ended) = apply(&response, keys, replica) {
                        return ended;
                    }
                }
                Err(reason) => return Ended::Broken(reason),
            },
        }
    }
}

/// Returns true if a response of the watch comes from another cluster, or from a revision before
/// the known one: because the member lags behind, or because etcd was restored.
fn is_suspect(response: &WatchResponse, replica: &Replica) -> bool {
    response.header().is_some_and(|header| {
        header.cluster_id() != replica.cluster_id() || header.revision() < replica.revision()
    })
}

/// Returns a reason if the history of etcd is not the one that the known records belong to. The
/// read is linearizable, so a member that lags behind cannot cause this.
async fn other_history(
    cluster: &Cluster,
    keys: &Keys,
    replica: &Replica,
) -> Result<Option<String>, EtcdRequestError> {
    let newest_write = replica.newest_write();
    let key = match &newest_write {
        Some(newest_write) => newest_write.key.clone(),
        None => keys.images.clone().into_bytes(),
    };
    let deadline = Instant::now() + FETCH_TIMEOUT;
    let known = replica.revision();
    let answer = cluster.get(&key, &GetOptions::new(), deadline).await?;
    let (cluster_id, revision) = answer
        .header()
        .map_or((0, 0), |header| (header.cluster_id(), header.revision()));
    if cluster_id != replica.cluster_id() {
        return Ok(Some("another cluster answers".to_owned()));
    }
    if revision < known {
        return Ok(Some(format!("its revision is {revision} after {known}")));
    }
    let agrees =
        newest_write.is_none_or(|newest_write| newest_write.agrees_with(answer.kvs().first()));
    Ok((!agrees).then(|| "its newest known write is not there".to_owned()))
}

/// Waits for the next response of a watch.
///
/// # Errors
/// The reason why there is none, as text.
pub(super) async fn next_response(stream: &mut WatchStream) -> Result<WatchResponse, String> {
    match timeout(SILENCE_TIMEOUT, stream.message()).await {
        Ok(Ok(Some(response))) => Ok(response),
        Ok(Ok(None)) => Err("etcd has closed it".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no response for {} s", SILENCE_TIMEOUT.as_secs())),
    }
}

fn apply(response: &WatchResponse, keys: &Keys, replica: &Replica) -> Result<(), Ended> {
    if response.compact_revision() != 0 {
        let compacted = response.compact_revision();
        return Err(Ended::ListAgain(format!(
            "etcd has compacted the revisions before {compacted}"
        )));
    }
    if response.canceled() {
        return Err(Ended::Broken(response.cancel_reason().to_owned()));
    }
    replica.record_contact();
    let events = response.events();
    if events
        .iter()
        .any(|event| event.event_type() == EventType::Delete)
    {
        return Err(Ended::ListAgain(
            "the key of a record was deleted".to_owned(),
        ));
    }
    let records: Vec<_> = events.iter().filter_map(|event| event.kv()).collect();
    replica.apply_events(keys, &records);
    Ok(())
}
