//! What a registry of another make has, as far as it can be listed there: its own queries
//! neither know all that ours do, nor are they fast.
//!
//! All images are read once. From then on what has changed since the newest of them is asked
//! for each time, which costs what has changed. Members are not in these lists.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};

use super::super::index::Snapshot;
use super::super::{Record, Version};
use super::exchange::Exchange;
use crate::error::Result;
use crate::image::{Image, Timestamp};
use crate::wire::registry::{MOST_RECORDS, read_standard_list};

/// Changes so much older than the newest one are asked for again: a registry server says
/// when it began to write, and not when others could see it.
const OVERLAP: Duration = Duration::from_secs(10);

/// What an image says, members apart: they are not in lists. Never zero.
pub(super) fn version_of(image: &Image) -> Version {
    let without = Image {
        members: Vec::new(),
        ..image.clone()
    };
    let mut hasher = DefaultHasher::new();
    // Fails for no image: its keys are texts.
    serde_json::to_vec(&without)
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish().max(1)
}

/// The images of a registry server.
pub(super) struct Replica {
    snapshot: Snapshot,
    newest: Option<Timestamp>,
}

impl Replica {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            snapshot: Snapshot::of([]),
            newest: None,
        }
    }

    /// All images as they are now, without members.
    pub(super) async fn now(&mut self, exchange: &Exchange) -> Result<Snapshot> {
        let since = self.newest.map_or(0, |newest| {
            let overlap = i64::try_from(OVERLAP.as_micros()).unwrap_or_default();
            newest.as_micros().saturating_sub(overlap).max(0)
        });
        let changed = read_since(exchange, Timestamp::from_micros(since)).await?;
        self.newest = changed
            .iter()
            .map(|image| image.updated_at)
            .chain(self.newest)
            .max();
        let records = changed.into_iter().map(|image| {
            let version = version_of(&image);
            Arc::new(Record::new(image, version))
        });
        if self.snapshot.records().next().is_none() {
            self.snapshot = Snapshot::of(records);
            return Ok(self.snapshot.clone());
        }
        for record in records {
            let known = self.snapshot.get(&record.image.id);
            if known.is_none_or(|known| known.version != record.version) {
                self.snapshot.put(record);
            }
        }
        Ok(self.snapshot.clone())
    }
}

/// Everything that has changed since then, what is deleted included, page by page.
async fn read_since(exchange: &Exchange, since: Timestamp) -> Result<Vec<Image>> {
    let query = format!(
        "/images/detail?is_public=None&sort_key=id&sort_dir=asc&limit={MOST_RECORDS}\
         &changes-since={}Z",
        since.format().as_str()
    );
    let mut images: Vec<Image> = Vec::new();
    loop {
        let path = match images.last() {
            Some(last) => format!("{query}&marker={}", last.id),
            None => query.clone(),
        };
        let reply = exchange.standard("list", Method::GET, &path, None).await?;
        if reply.status != StatusCode::OK {
            return Err(reply.refusal());
        }
        let page = read_standard_list(reply.body())?;
        // How many one page has, the other side decides.
        if page.is_empty() {
            return Ok(images);
        }
        images.extend(page);
    }
}
