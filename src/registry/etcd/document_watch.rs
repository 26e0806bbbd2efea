//! Keeps the local copy of the documents up to date: reads all of them at one revision, and then
//! watches their prefix from the next revision on.
//!
//! Documents are few and small, so every interruption is handled in the same way: all documents
//! are read again. That also covers compacted revisions and a restored etcd.

use etcd_client::{EventType, GetOptions, WatchOptions, WatchResponse};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, interval, sleep};

use super::super::documents::{DocumentKey, DocumentMap};
use super::cluster::{Cluster, EtcdRequestError};
use super::document_replica::{DocumentReplica, document_of};
use super::keys::Keys;
use super::load::Range;
use super::watch::{PROGRESS_INTERVAL, next_response};

/// Maximum number of documents per page.
const PAGE_LEN: i64 = 128;

const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Delay before the documents are read again after an interruption.
const PAUSE: Duration = Duration::from_millis(200);

/// The cluster and the revision that a list was read from.
struct ReadFrom {
    cluster_id: u64,
    revision: i64,
}

/// Keeps the replica up to date. Never returns.
pub(super) async fn run(cluster: &Cluster, keys: &Keys, replica: &DocumentReplica) {
    loop {
        match load(cluster, keys, replica).await {
            Ok(read_from) => {
                let reason = watch(cluster, keys, replica, &read_from).await;
                tracing::info!(reason, "reading all documents from etcd again");
            }
            Err(error) => {
                tracing::warn!(%error, "the documents cannot be read from etcd; trying again");
            }
        }
        sleep(PAUSE).await;
    }
}

async fn load(
    cluster: &Cluster,
    keys: &Keys,
    replica: &DocumentReplica,
) -> Result<ReadFrom, EtcdRequestError> {
    let mut range = Range::of_all(&keys.documents);
    let mut map = DocumentMap::default();
    let mut read_from = ReadFrom {
        cluster_id: 0,
        revision: 0,
    };
    loop {
        let options = GetOptions::new()
            .with_range(range.end.clone())
            .with_limit(PAGE_LEN)
            .with_revision(read_from.revision);
        let deadline = Instant::now() + PAGE_TIMEOUT;
        let page = cluster.get(&range.start, &options, deadline).await?;
        if read_from.revision == 0
            && let Some(header) = page.header()
        {
            read_from = ReadFrom {
                cluster_id: header.cluster_id(),
                revision: header.revision(),
            };
        }
        for kv in page.kvs() {
            match document_of(kv) {
                Ok(document) => map.put(Arc::new(document)),
                Err(reason) => log_unreadable(kv.key(), &reason),
            }
        }
        match page.kvs().last() {
            Some(last) if page.more() => {
                range.start = last.key().to_vec();
                range.start.push(0);
            }
            _ => break,
        }
    }
    replica.replace_all(map, read_from.revision);
    Ok(read_from)
}

/// Watches until something interrupts it; returns what.
async fn watch(
    cluster: &Cluster,
    keys: &Keys,
    replica: &DocumentReplica,
    read_from: &ReadFrom,
) -> String {
    let options = WatchOptions::new()
        .with_prefix()
        .with_start_revision(replica.applied_revision() + 1);
    let watching = cluster.watch(keys.documents.as_bytes(), options).await;
    let mut stream = match watching {
        Ok(stream) => stream,
        Err(error) => return error.to_string(),
    };
    let mut progress = interval(PROGRESS_INTERVAL);
    loop {
        tokio::select! {
            _ = progress.tick() => {
                if let Err(error) = stream.request_progress().await {
                    return error.to_string();
                }
            }
            response = next_response(&mut stream) => match response {
                Ok(response) => {
                    if let Err(reason) = apply(&response, keys, replica, read_from) {
                        return reason;
                    }
                }
                Err(reason) => return reason,
            },
        }
    }
}

fn apply(
    response: &WatchResponse,
    keys: &Keys,
    replica: &DocumentReplica,
    read_from: &ReadFrom,
) -> Result<(), String> {
    if response.compact_revision() != 0 {
        return Err("etcd has compacted the revisions that follow".to_owned());
    }
    if response.canceled() {
        return Err(response.cancel_reason().to_owned());
    }
    // A response from an earlier revision comes from a restored etcd, or from a member that lags
    // behind. The next list tells: it is linearizable.
    let is_other_history = response.header().is_some_and(|header| {
        header.cluster_id() != read_from.cluster_id || header.revision() < read_from.revision
    });
    if is_other_history {
        return Err("etcd has another history than before".to_owned());
    }
    for event in response.events() {
        let Some(kv) = event.kv() else { continue };
        let Some(key) = keys.document_key(kv.key()) else {
            continue;
        };
        apply_event(event.event_type(), &key, kv, replica);
    }
    let revisions = response.events().iter().filter_map(|event| event.kv());
    if let Some(revision) = revisions.map(|kv| kv.mod_revision()).max() {
        replica.advance_to(revision);
    }
    Ok(())
}

fn apply_event(
    event: EventType,
    key: &DocumentKey,
    kv: &etcd_client::KeyValue,
    replica: &DocumentReplica,
) {
    let revision = kv.mod_revision();
    match event {
        EventType::Delete => replica.apply_event(key, None, revision),
        EventType::Put => match document_of(kv) {
            Ok(document) => replica.apply_event(key, Some(document), revision),
            Err(reason) => {
                log_unreadable(kv.key(), &reason);
                // The earlier state is not valid any more.
                replica.apply_event(key, None, revision);
            }
        },
    }
}

fn log_unreadable(key: &[u8], reason: &str) {
    let key = String::from_utf8_lossy(key).into_owned();
    tracing::error!(
        key,
        reason,
        "a document in etcd cannot be read by this release"
    );
}
