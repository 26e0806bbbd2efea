//! Reads every record at one revision of etcd.
//!
//! etcd visits every key of the requested range, whatever the limit of the page, so reading one
//! long range page by page costs the square of the number of pages. Therefore the first page only
//! yields the number of keys. The rest is cut into ranges of about one page each by the first
//! digits of the identifiers, which are random, and several ranges are read concurrently.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{GetOptions, KeyValue};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::super::Record;
use super::super::index::Snapshot;
use super::cluster::{Cluster, EtcdRequestError};
use super::keys::{Keys, UnreadableRecord};
use super::replica::{KnownWrite, Listing, Replica};

/// Target size of a page. With the largest possible records a page can be thirty times as long,
/// which is still accepted.
const PAGE_BYTES: usize = 2 << 20;
const FIRST_PAGE: usize = 256;
const MAX_PAGE_LEN: usize = 8192;

/// Number of leading digits of identifiers by which ranges are cut.
const DIGITS: usize = 4;
const MAX_RANGES: usize = 1 << (4 * DIGITS);

/// Maximum time for one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// The records of a page, and those that this release cannot read.
#[derive(Default)]
struct Decoded {
    records: Vec<Arc<Record>>,
    unread: Vec<UnreadableRecord>,
}

/// A range of keys that is still to be read: from `start` to before `end`.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) start: Vec<u8>,
    pub(super) end: Vec<u8>,
}

/// A list in progress.
struct List<'a> {
    cluster: &'a Cluster,
    keys: &'a Keys,
    /// The revision of the list; zero until the first page has returned it.
    revision: Cell<i64>,
    cluster_id: Cell<u64>,
    /// The newest write among the records that were read.
    newest_write: RefCell<Option<KnownWrite>>,
    page_len: Cell<usize>,
    decoding: RefCell<Vec<JoinHandle<Decoded>>>,
}

/// Reads all records and replaces the content of the replica. Earlier pages are decoded on other
/// threads while the next ones are read.
pub(super) async fn load(
    cluster: &Cluster,
    keys: &Keys,
    replica: &Replica,
) -> Result<(), EtcdRequestError> {
    replica.begin_listing();
    let list = List {
        cluster,
        keys,
        revision: Cell::new(0),
        cluster_id: Cell::new(0),
        newest_write: RefCell::default(),
        page_len: Cell::new(FIRST_PAGE),
        decoding: RefCell::default(),
    };
    let mut all = Range::of_all(&keys.images);
    let rest = list.page(&mut all).await?;
    let ranges = all.cut(&keys.images, rest.div_ceil(list.page_len.get() * 3 / 4 + 1));
    let ranges = RefCell::new(ranges.into_iter());
    let read = || list.read_all(&ranges);
    tokio::try_join!(read(), read(), read(), read())?;
    let mut records = Vec::new();
    let mut unread = Vec::new();
    for decoding in list.decoding.take() {
        // A panic has the same effect as damaged records: they are missing.
        let decoded = decoding.await.unwrap_or_default();
        records.extend(decoded.records);
        unread.extend(decoded.unread);
    }
    let (count, revision) = (records.len(), list.revision.get());
    let snapshot = spawn_blocking(move || Snapshot::of(records)).await;
    let snapshot = snapshot.unwrap_or_else(|_| Snapshot::of([]));
    let unreadable = unread.len();
    replica.finish_listing(Listing {
        snapshot,
        unread,
        revision,
        cluster_id: list.cluster_id.get(),
        newest_write: list.newest_write.take(),
    });
    tracing::info!(
        records = count,
        unreadable,
        revision,
        "records read from etcd"
    );
    Ok(())
}

impl List<'_> {
    /// Reads ranges until none is left.
    async fn read_all(
        &self,
        ranges: &RefCell<std::vec::IntoIter<Range>>,
    ) -> Result<(), EtcdRequestError> {
        loop {
            let Some(mut range) = ranges.borrow_mut().next() else {
                return Ok(());
            };
            while self.page(&mut range).await? > 0 {}
        }
    }

    /// Reads the first page of a range and moves the start of the range behind it. Returns how many
    /// keys are left.
    async fn page(&self, range: &mut Range) -> Result<usize, EtcdRequestError> {
        let options = GetOptions::new()
            .with_range(range.end.clone())
            .with_limit(i64::try_from(self.page_len.get()).unwrap_or(i64::MAX))
            .with_revision(self.revision.get());
        let deadline = Instant::now() + PAGE_TIMEOUT;
        let page = self.cluster.get(&range.start, &options, deadline);
        let mut page = page.await?;
        if self.revision.get() == 0 {
            let header = page.header();
            self.revision
                .set(header.map_or(0, |header| header.revision()));
            self.cluster_id
                .set(header.map_or(0, |header| header.cluster_id()));
        }
        let count = usize::try_from(page.count()).unwrap_or_default();
        let (more, kvs) = (page.more(), page.take_kvs());
        if let Some(last) = kvs.last() {
            range.start = last.key().to_vec();
            range.start.push(0);
            self.page_len.set(next_page_len(&kvs));
        }
        self.note_newest(&kvs);
        // At least one if etcd says so, whatever the count.
        let rest = count.saturating_sub(kvs.len()).max(usize::from(more));
        let keys = self.keys.clone();
        let decoded = spawn_blocking(move || decode(&keys, &kvs));
        self.decoding.borrow_mut().push(decoded);
        Ok(if more { rest } else { 0 })
    }

    /// Keeps the newest write.
    fn note_newest(&self, kvs: &[KeyValue]) {
        let Some(newest) = kvs.iter().max_by_key(|kv| kv.mod_revision()) else {
            return;
        };
        let mut newest_write = self.newest_write.borrow_mut();
        let known = newest_write.as_ref().map_or(0, KnownWrite::revision);
        if newest.mod_revision() > known {
            *newest_write = Some(KnownWrite::of(newest));
        }
    }
}

impl Range {
    /// Returns the range of all keys with a prefix that ends in a slash.
    pub(super) fn of_all(prefix: &str) -> Self {
        let start = prefix.as_bytes().to_vec();
        let mut end = start.clone();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        Self { start, end }
    }

    /// Cuts the range into at most this many ranges that together are the whole.
    fn cut(self, prefix: &str, pieces: usize) -> Vec<Self> {
        let pieces = pieces.min(MAX_RANGES);
        let Self { mut start, end } = self;
        let mut ranges = Vec::with_capacity(pieces);
        for piece in 1..=pieces {
            let next = match piece < pieces {
                true => format!("{prefix}{:0DIGITS$x}", MAX_RANGES * piece / pieces).into_bytes(),
                false => end.clone(),
            };
            if next > start {
                let start = std::mem::replace(&mut start, next.clone());
                ranges.push(Self { start, end: next });
            }
        }
        ranges
    }
}

fn next_page_len(kvs: &[KeyValue]) -> usize {
    let bytes: usize = kvs.iter().map(|kv| kv.value().len()).sum();
    let each = (bytes / kvs.len().max(1)).max(1);
    (PAGE_BYTES / each).clamp(1, MAX_PAGE_LEN)
}

fn decode(keys: &Keys, kvs: &[KeyValue]) -> Decoded {
    let mut decoded = Decoded::default();
    for kv in kvs {
        match keys.read(kv) {
            Ok(record) => decoded.records.push(record),
            Err(unread) => decoded.unread.push(unread),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_ranges_cover_the_whole_range() {
        for pieces in [1, 2, 37, 100_000] {
            let mut all = Range::of_all("/x/");
            all.start = b"/x/12345678".to_vec();
            let (start, end) = (all.start.clone(), all.end.clone());
            let cut = all.cut("/x/", pieces);
            assert!(cut.len() <= pieces.min(MAX_RANGES));
            assert!(cut.len() >= pieces.min(MAX_RANGES) * 3 / 4);
            assert_eq!(cut[0].start, start);
            assert_eq!(cut[cut.len() - 1].end, end);
            assert!(cut.iter().all(|range| range.start < range.end));
            let seams = cut.windows(2).all(|two| two[0].end == two[1].start);
            assert!(seams, "{cut:?}");
        }
        assert!(Range::of_all("/x/").cut("/x/", 0).is_empty());
    }
}
