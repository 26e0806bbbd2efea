//! Downloads an image's ranges from its store into the file of a fill.
//!
//! Several ranges are downloaded at the same time, limited by the connections that all fills
//! share.

use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::fill::FillSource;
use super::fill_context::FillContext;
use super::range_plan::{PlannedRange, RangePlan};
use crate::error::{Error, Result};
use crate::metrics;
use crate::store::{ObjectRange, Store};
use crate::transfer::disk::DiskFile;
use crate::transfer::{PartialFile, Payload};

/// The store and the image of one fill.
pub(super) struct RangeFetcher {
    context: Rc<FillContext>,
    source: FillSource,
    store: Arc<dyn Store>,
}

/// A range and the response of the store to it.
pub(super) type OpenedRange = (PlannedRange, Payload);

/// The file that ranges are written to.
#[derive(Clone)]
struct WriteTarget {
    partial: Arc<PartialFile>,
    file: DiskFile,
}

impl RangeFetcher {
    /// # Errors
    /// If no store is configured for the location's scheme.
    pub(super) fn new(context: Rc<FillContext>, source: FillSource) -> Result<Rc<Self>> {
        let store = context.stores.for_location(&source.location)?;
        Ok(Rc::new(Self {
            context,
            source,
            store,
        }))
    }

    /// Plans the ranges. There is only one if the store may not support ranges, or if the image has
    /// no checksum: ranges from two versions of the object would then go unnoticed.
    pub(super) fn plan(&self) -> RangePlan {
        let (source, options) = (&self.source, &self.context.options);
        let range_bytes =
            match self.store.serves_ranges() && source.digest.is_some() && options.ranges > 1 {
                true => options.range_bytes,
                false => source.size_bytes,
            };
        RangePlan::new(source.size_bytes, range_bytes)
    }

    /// Opens the first range.
    ///
    /// # Errors
    /// The error of the store.
    pub(super) async fn open_first(&self, plan: &mut RangePlan) -> Result<OpenedRange> {
        let range = plan
            .next(&[])
            .ok_or_else(|| Error::internal("an empty image cannot be cached"))?;
        Ok((range, self.open_range(range).await?))
    }

    async fn open_range(&self, range: PlannedRange) -> Result<Payload> {
        let range = ObjectRange {
            offset: range.offset,
            len: range.len,
            object_bytes: self.source.size_bytes,
        };
        self.store.open(&self.source.location, range).await
    }

    /// Downloads all ranges into the file. `first` is the response to the first range.
    ///
    /// # Errors
    /// The error of the store or of the disk.
    pub(super) async fn fetch_all(
        self: &Rc<Self>,
        partial: &Arc<PartialFile>,
        file: &File,
        mut plan: RangePlan,
        first: OpenedRange,
    ) -> Result<()> {
        let file = file.try_clone().map_err(Error::of_io)?;
        let target = WriteTarget {
            partial: Arc::clone(partial),
            file: self.context.disk.file(file),
        };
        let mut downloads = JoinSet::new();
        downloads.spawn_local(receive(first, target.clone()));
        loop {
            while downloads.len() < self.context.options.ranges {
                let permit = Arc::clone(&self.context.extra_connections).try_acquire_owned();
                // Without a permit the fill uses its own connection, which must be idle.
                if permit.is_err() && !downloads.is_empty() {
                    break;
                }
                // Chosen as late as possible, so that ranges that readers wait for come first.
                let Some(range) = plan.next(&partial.waiting_positions()) else {
                    break;
                };
                let (fetcher, target) = (Rc::clone(self), target.clone());
                downloads.spawn_local(async move {
                    let _permit = permit;
                    let payload = fetcher.open_range(range).await?;
                    receive((range, payload), target).await
                });
            }
            match downloads.join_next().await {
                // On an error the set is dropped, which cancels the other downloads.
                None => return Ok(()),
                Some(ended) => ended.map_err(Error::internal)??,
            }
        }
    }
}

/// Writes a range to the file as it arrives.
async fn receive((range, mut payload): OpenedRange, target: WriteTarget) -> Result<()> {
    let (mut position, end) = (range.offset, range.offset + range.len);
    while let Some(bytes) = next(&mut payload).await? {
        let len = bytes.len() as u64;
        // A store that sends too much would overwrite the next range.
        if len > end - position {
            return Err(Error::internal(
                "the store sent more than the requested range",
            ));
        }
        let written = target.file.write_all_at(bytes, position).await;
        written.map_err(Error::internal)?;
        target.partial.mark_written(position, len);
        metrics::cache_filled(len);
        position += len;
    }
    if position < end {
        return Err(Error::internal(
            "the store sent less than the requested range",
        ));
    }
    Ok(())
}

async fn next(payload: &mut Payload) -> Result<Option<Bytes>> {
    match payload {
        Payload::Remote(remote) => remote.next().await,
        Payload::Bytes(bytes) => {
            let bytes = std::mem::take(bytes);
            *payload = Payload::Empty;
            Ok(Some(bytes))
        }
        Payload::Empty => Ok(None),
        Payload::File(_) | Payload::Partial(_) | Payload::Text(_) => {
            Err(Error::internal("a local file cannot be cached"))
        }
    }
}
