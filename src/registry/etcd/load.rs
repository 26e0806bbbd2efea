//! Reading every record, as it was at one revision.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetOptions, KeyValue};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::super::Record;
use super::super::index::Snapshot;
use super::cluster::{Away, Cluster};
use super::keys::{Keys, record_of};
use super::replica::Replica;

/// About as many bytes as a page is to have. The largest records, which nobody expects, make
/// one thirty times as long, which is still read.
const PAGE_BYTES: usize = 2 << 20;
const FIRST_PAGE: usize = 256;
const MOST_OF_PAGE: usize = 8192;

/// Longest time for one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

type Decoded = JoinHandle<Vec<Arc<Record>>>;

/// Reads all records and has the replica begin with them. Pages are read while those before
/// are taken apart by other threads.
pub(super) async fn load(cluster: &Cluster, keys: &Keys, replica: &Replica) -> Result<(), Away> {
    replica.list_begins();
    let mut start = keys.images.clone().into_bytes();
    let end = end_of(&keys.images);
    let mut revision = 0;
    let mut page_len = FIRST_PAGE;
    let mut decoding: Vec<Decoded> = Vec::new();
    loop {
        let options = GetOptions::new()
            .with_range(end.clone())
            .with_limit(i64::try_from(page_len).unwrap_or(i64::MAX))
            .with_revision(revision);
        let deadline = Instant::now() + PAGE_TIMEOUT;
        let mut page = cluster.get(&start, &options, deadline).await?;
        if revision == 0 {
            revision = page.header().map_or(0, |header| header.revision());
        }
        let more = page.more();
        let kvs = page.take_kvs();
        if let Some(last) = kvs.last() {
            start = last.key().to_vec();
            start.push(0);
            page_len = next_page_len(&kvs);
        }
        decoding.push(spawn_blocking(move || decode(&kvs)));
        if !more {
            break;
        }
    }
    let mut records = Vec::new();
    for decoded in decoding {
        // One that panicked is as good as damaged records.
        records.extend(decoded.await.unwrap_or_default());
    }
    let count = records.len();
    let snapshot = spawn_blocking(move || Snapshot::of(records)).await;
    let snapshot = snapshot.unwrap_or_else(|_| Snapshot::of([]));
    replica.list_ends(snapshot, revision);
    tracing::info!(records = count, revision, "records read from etcd");
    Ok(())
}

fn next_page_len(kvs: &[KeyValue]) -> usize {
    let bytes: usize = kvs.iter().map(|kv| kv.value().len()).sum();
    let each = (bytes / kvs.len().max(1)).max(1);
    (PAGE_BYTES / each).clamp(1, MOST_OF_PAGE)
}

fn decode(kvs: &[KeyValue]) -> Vec<Arc<Record>> {
    let mut records = Vec::with_capacity(kvs.len());
    for kv in kvs {
        match record_of(kv) {
            Ok(record) => records.push(Arc::new(record)),
            Err(error) => {
                let key = String::from_utf8_lossy(kv.key()).into_owned();
                tracing::error!(key, %error, "a record in etcd is damaged and its image not served");
            }
        }
    }
    records
}

/// The first key behind all that begin with a prefix, which ends in a slash.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
