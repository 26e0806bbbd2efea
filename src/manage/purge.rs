//! Forgetting deleted images (Glance's `db purge`).

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::task::JoinSet;

use super::failure::Failure;
use crate::error::{Error, Kind};
use crate::image::{ImageId, Query, Timestamp};
use crate::registry::{Record, Registry};

/// Images that are asked for at a time.
const PAGE: usize = 1000;

/// Images that are forgotten at a time: they share commits.
const AT_A_TIME: usize = 256;

/// The images to forget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Purge {
    /// Seconds since the deletion, at least.
    pub(super) older_than_s: u64,
    /// Most images; those that were deleted first come first.
    pub(super) most: Option<usize>,
    pub(super) dry_run: bool,
}

/// The result for the images.
#[derive(Debug, Default)]
pub(super) struct Purged {
    pub(super) forgotten: usize,
    /// Deleted images that are older and stay, because of the limit or a change meanwhile.
    pub(super) left: usize,
}

/// Removes the records of images that were deleted long ago and of which nothing is left in a
/// store. Their identifiers can be taken again then, as in Glance.
///
/// # Errors
/// [`Failure`]; what was forgotten stays forgotten.
pub(super) async fn purge(registry: &Arc<dyn Registry>, what: Purge) -> Result<Purged, Failure> {
    let mut old = deleted_before(&**registry, before(what.older_than_s)).await?;
    let all = old.len();
    old.truncate(what.most.unwrap_or(usize::MAX));
    if what.dry_run {
        return Ok(Purged {
            forgotten: old.len(),
            left: all - old.len(),
        });
    }
    let mut forgotten = 0;
    let mut running: JoinSet<Result<(), Error>> = JoinSet::new();
    for (id, version) in old {
        if running.len() == AT_A_TIME
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

fn count(ended: Result<(), Error>) -> Result<usize, Failure> {
    match ended {
        Ok(()) => Ok(1),
        // Another program has forgotten it.
        Err(error) if error.kind() == Kind::Stale => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Images that were deleted before a time, first the one that was deleted first, each with the
/// version that was seen.
async fn deleted_before(
    registry: &dyn Registry,
    before: Timestamp,
) -> Result<Vec<(ImageId, u64)>, Failure> {
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
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(i64::MAX);
    let age = i64::try_from(older_than_s).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.saturating_sub(age.saturating_mul(1_000_000)))
}
