//! The command `purge`: removes the records of deleted images, as Glance's `db purge` does.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::error::ManageError;
use crate::clock;
use crate::error::{Error, Kind};
use crate::image::{ImageId, Query, Timestamp};
use crate::registry::{Record, Registry};

/// Number of records that are listed at a time.
const PAGE: usize = 1000;

/// Number of concurrent removals, which share commits.
const CONCURRENT_WRITES: usize = 256;

/// The records to remove.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purge {
    /// Minimum time since the deletion, in seconds.
    pub(super) older_than_s: u64,
    /// Maximum number of records, in the order of the deletions.
    pub(super) max_images: Option<usize>,
    pub(super) dry_run: bool,
}

/// The result of a purge.
#[derive(Debug, Default)]
pub(super) struct Purged {
    pub(super) forgotten: usize,
    /// Records that are old enough and remain, because of the limit or a concurrent change.
    pub(super) left: usize,
}

/// Removes the records of images that were deleted long ago and have no data left in a store. Their
/// identifiers can be used again afterwards, as in Glance.
///
/// # Errors
/// [`ManageError`]. Records that were removed before the error stay removed.
pub(super) async fn purge(
    registry: &Arc<dyn Registry>,
    what: Purge,
) -> Result<Purged, ManageError> {
    let mut old = deleted_before(&**registry, before(what.older_than_s)).await?;
    let all = old.len();
    old.truncate(what.max_images.unwrap_or(usize::MAX));
    if what.dry_run {
        return Ok(Purged {
            forgotten: old.len(),
            left: all - old.len(),
        });
    }
    let mut forgotten = 0;
    let mut running: JoinSet<Result<(), Error>> = JoinSet::new();
    for (id, version) in old {
        if running.len() == CONCURRENT_WRITES
            && let Some(ended) = running.join_next().await
        {
            forgotten += count(ended?)?;
        }
        let registry = Arc::clone(registry);
        running.spawn(async move { registry.purge(&id, version).await });
    }
    while let Some(ended) = running.join_next().await {
        forgotten += count(ended?)?;
    }
    Ok(Purged {
        forgotten,
        left: all - forgotten,
    })
}

fn count(ended: Result<(), Error>) -> Result<usize, ManageError> {
    match ended {
        Ok(()) => Ok(1),
        // Another process has changed or removed the record.
        Err(error) if error.kind() == Kind::Stale => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Returns the images that were deleted before a time, in the order of the deletions, each with the
/// version of its record.
async fn deleted_before(
    registry: &dyn Registry,
    before: Timestamp,
) -> Result<Vec<(ImageId, u64)>, ManageError> {
    let mut old = Vec::new();
    let mut query = Query::everything(PAGE);
    loop {
        let page = registry.list(&query).await?;
        for record in &page {
            if record.image.is_tombstone() && deleted_at(record) < before {
                old.push((deleted_at(record), record.image.id, record.version));
            }
        }
        match page.last() {
            Some(last) => query.marker = Some(last.image.id),
            None => break,
        }
    }
    old.sort_unstable();
    Ok(old
        .into_iter()
        .map(|(_, id, version)| (id, version))
        .collect())
}

fn deleted_at(record: &Record) -> Timestamp {
    record.image.deleted_at.unwrap_or(record.image.updated_at)
}

fn before(older_than_s: u64) -> Timestamp {
    let age = Duration::from_secs(older_than_s);
    Timestamp::from_micros(clock::micros(clock::since_epoch()).saturating_sub(clock::micros(age)))
}
