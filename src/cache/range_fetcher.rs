//! The image at its origin: which ranges are asked for, and how they get into the file.

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

/// Where the bytes of one fill come from.
pub(super) struct RangeFetcher {
    context: Rc<FillContext>,
    source: FillSource,
    store: Arc<dyn Store>,
}

/// A range, and what the origin sends of it.
pub(super) type OpenedRange = (PlannedRange, Payload);

/// Where a range goes.
#[derive(Clone)]
struct WriteTarget {
    growing: Arc<PartialFile>,
    file: DiskFile,
}

impl RangeFetcher {
    /// # Errors
    /// When no store has such locations.
    pub(super) fn new(context: Rc<FillContext>, source: FillSource) -> Result<Rc<Self>> {
        let store = context.stores.for_location(&source.location)?;
        Ok(Rc::new(Self {
            context,
            source,
            store,
        }))
    }

    /// One range where the origin need not know ranges, or nothing would tell two versions
    /// of the object apart.
    pub(super) fn plan(&self) -> RangePlan {
        let (source, options) = (&self.source, &self.context.options);
        let range_bytes =
            match self.store.serves_ranges() && source.digest.is_some() && options.ranges > 1 {
                true => options.range_bytes,
                false => source.size_bytes,
            };
        RangePlan::new(source.size_bytes, range_bytes)
    }

    /// Asks for the first range.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) async fn open_first(&self, plan: &mut RangePlan) -> Result<OpenedRange> {
        let piece = plan
            .next(&[])
            .ok_or_else(|| Error::internal("an image without bytes"))?;
        Ok((piece, self.ask(piece).await?))
    }

    async fn ask(&self, piece: PlannedRange) -> Result<Payload> {
        let wanted = ObjectRange {
            offset: piece.offset,
            len: piece.len,
            object_bytes: self.source.size_bytes,
        };
        self.store.open(&self.source.location, wanted).await
    }

    /// Gets all ranges into the file: several at a time, as far as the connections go that
    /// all fills share.
    ///
    /// # Errors
    /// Those of the store and of the disk.
    pub(super) async fn fetch_all(
        self: &Rc<Self>,
        growing: &Arc<PartialFile>,
        file: &File,
        mut plan: RangePlan,
        first: OpenedRange,
    ) -> Result<()> {
        let file = file.try_clone().map_err(Error::of_io)?;
        let target = WriteTarget {
            growing: Arc::clone(growing),
            file: self.context.disk.file(file),
        };
        let mut under_way = JoinSet::new();
        under_way.spawn_local(receive(first, target.clone()));
        loop {
            while under_way.len() < self.context.options.ranges {
                let spare = Arc::clone(&self.context.spare).try_acquire_owned();
                if spare.is_err() && !under_way.is_empty() {
                    break;
                }
                let Some(piece) = plan.next(&growing.waiting_positions()) else {
                    break;
                };
                let (origin, target) = (Rc::clone(self), target.clone());
                under_way.spawn_local(async move {
                    let _spare = spare;
                    let payload = origin.ask(piece).await?;
                    receive((piece, payload), target).await
                });
            }
            match under_way.join_next().await {
                None => return Ok(()),
                Some(ended) => ended.map_err(Error::internal)??,
            }
        }
    }
}

/// Writes a range as it comes.
async fn receive((piece, mut payload): OpenedRange, target: WriteTarget) -> Result<()> {
    let (mut position, end) = (piece.offset, piece.offset + piece.len);
    while let Some(bytes) = next(&mut payload).await? {
        let len = bytes.len() as u64;
        if len > end - position {
            return Err(Error::internal("the origin sent more than was asked for"));
        }
        let written = target.file.write_all_at(bytes, position).await;
        written.map_err(Error::internal)?;
        target.growing.mark_written(position, len);
        metrics::cache_filled(len);
        position += len;
    }
    if position < end {
        return Err(Error::internal("the origin sent less than was asked for"));
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
            Err(Error::internal("files of this node need no cache"))
        }
    }
}
