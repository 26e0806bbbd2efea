//! A local copy of the images of a server with the legacy protocol, as its lists show them. Its
//! own queries have fewer conditions than ours and are slow.
//!
//! All images are read once. Later reads request the images that changed since the newest known
//! change, so they cost as much as has changed. Lists do not contain members.
//!
//! An image that cannot be read is missing here and is logged once.
//!
//! If a read lacks an image that had changed just before, the registry was restored from a backup.
//! All images are read again then.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::index::Snapshot;
use super::super::{Record, Version};
use super::endpoint::ServerEndpoint;
use super::pages::{Changes, Pages};
use crate::clock;
use crate::error::Result;
use crate::image::{Image, ImageId, Timestamp};

/// Changes are requested again from this long before the newest one: a registry server reports when
/// it began a write, and not when the write became visible.
const OVERLAP: Duration = Duration::from_secs(10);

/// A time before every change.
const BEGINNING: Timestamp = Timestamp::from_micros(0);

/// Minimum time between two reads of all images.
const FULL_READ_EVERY: Duration = Duration::from_secs(60);

/// Returns a digest of the image without its members, which lists do not contain. Never zero.
pub(super) fn version_of(image: &Image) -> Version {
    let without = Image {
        members: Vec::new(),
        ..image.clone()
    };
    let mut hasher = DefaultHasher::new();
    // Serialization cannot fail: all map keys of an image are texts.
    serde_json::to_vec(&without)
        .unwrap_or_default()
        .hash(&mut hasher);
    hasher.finish().max(1)
}

/// The local copy.
pub(super) struct Replica {
    snapshot: Snapshot,
    pages: Pages,
    newest: Option<Timestamp>,
    /// The images that the next read must return again, because it requests the same period.
    recent: Vec<ImageId>,
    /// The time of the last repeated read of all images.
    full_read: Option<Instant>,
    /// The unreadable images: the reasons by the identifiers as the server sends them.
    unreadable: HashMap<String, String>,
}

impl Replica {
    /// Returns an empty replica, before the first read.
    pub(super) fn new() -> Self {
        Self {
            snapshot: Snapshot::of([]),
            pages: Pages::new(),
            newest: None,
            recent: Vec::new(),
            full_read: None,
            unreadable: HashMap::new(),
        }
    }

    /// Brings the copy up to date and returns all images, without members.
    pub(super) async fn refresh(&mut self, endpoint: &ServerEndpoint) -> Result<Snapshot> {
        let mut changes = self.pages.read_since(endpoint, self.since()).await?;
        if self.has_lost_changes(&changes) {
            tracing::warn!("the registry server has lost changes; reading all its images again");
            changes = self.pages.read_since(endpoint, BEGINNING).await?;
            *self = Self {
                pages: std::mem::replace(&mut self.pages, Pages::new()),
                full_read: Some(Instant::now()),
                ..Self::new()
            };
        }
        self.apply(changes);
        Ok(self.snapshot.clone())
    }

    /// Returns the time from which on changes are requested.
    fn since(&self) -> Timestamp {
        let Some(newest) = self.newest else {
            return BEGINNING;
        };
        let overlap = i64::try_from(OVERLAP.as_micros()).unwrap_or_default();
        let since = newest.as_micros().saturating_sub(overlap);
        BEGINNING.max(Timestamp::from_micros(since))
    }

    /// Returns true if the server has lost changes that it had returned before.
    fn has_lost_changes(&self, changes: &Changes) -> bool {
        let is_due = self
            .full_read
            .is_none_or(|read| read.elapsed() >= FULL_READ_EVERY);
        let shown: HashSet<&str> = changes.listed.iter().map(|entry| &*entry.id).collect();
        is_due && !self.recent.iter().all(|id| shown.contains(id.as_str()))
    }

    /// Returns the images that cannot be read, as far as their identifiers are well-formed.
    pub(super) fn unreadable(&self) -> Vec<ImageId> {
        let ids = self.unreadable.keys();
        ids.filter_map(|id| id.parse().ok()).collect()
    }

    fn apply(&mut self, changes: Changes) {
        // Never goes back: a read without changes must not request older changes next time.
        self.newest = newest(&changes).max(self.newest);
        let since = self.since();
        let readable = changes
            .listed
            .iter()
            .filter_map(|entry| entry.image.as_ref().ok());
        let recent = readable.filter(|image| image.updated_at >= since);
        self.recent = recent.map(|image| image.id).collect();
        let mut records = Vec::new();
        let mut is_lost = false;
        for entry in changes.listed {
            match entry.image {
                Ok(image) => {
                    self.unreadable.remove(&entry.id);
                    let version = version_of(&image);
                    records.push(Arc::new(Record::new(image, version)));
                }
                Err(reason) => is_lost |= self.mark_unreadable(entry.id, reason),
            }
        }
        if is_lost {
            let unreadable = self.unreadable();
            let kept = self.snapshot.records();
            let kept = kept.filter(|record| !unreadable.contains(&record.image.id));
            self.snapshot = Snapshot::of(kept.cloned().collect::<Vec<_>>());
        }
        if self.snapshot.records().next().is_none() {
            self.snapshot = Snapshot::of(records);
            return;
        }
        for record in records {
            let known = self.snapshot.get(&record.image.id);
            if known.is_none_or(|known| known.version != record.version) {
                self.snapshot.put(record);
            }
        }
    }

    /// Notes an image that cannot be read. Returns true if the copy has an earlier state of it.
    fn mark_unreadable(&mut self, id: String, reason: String) -> bool {
        let parsed: Option<ImageId> = id.parse().ok();
        let was_known = parsed.is_some_and(|id| self.snapshot.get(&id).is_some());
        if self.unreadable.get(&id) != Some(&reason) {
            tracing::error!(
                image_id = id,
                reason,
                "an image of the registry server cannot be read; it is missing from lists"
            );
            self.unreadable.insert(id, reason);
        }
        was_known
    }
}

/// Returns the time of the newest change by the server's clock. An image may have a time in the
/// future, which must not hide the changes until then.
fn newest(changes: &Changes) -> Option<Timestamp> {
    let readable = changes
        .listed
        .iter()
        .filter_map(|entry| entry.image.as_ref().ok());
    let newest = readable.map(|image| image.updated_at).max()?;
    Some(newest.min(changes.began.unwrap_or_else(local_now)))
}

/// Returns the local time, for a server that sends no `Date`.
fn local_now() -> Timestamp {
    Timestamp::from_micros(clock::micros(clock::since_epoch()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::registry::ListedImage;

    fn entry(id: u8, micros: i64, is_readable: bool) -> ListedImage {
        let id = format!("00000000-0000-4000-8000-0000000000{id:02}");
        let mut image = Image::queued(id.parse().unwrap(), Timestamp::from_micros(1));
        image.updated_at = Timestamp::from_micros(micros);
        ListedImage {
            id,
            image: is_readable.then_some(image).ok_or("no".to_owned()),
        }
    }

    fn changes(listed: Vec<ListedImage>) -> Changes {
        Changes {
            listed,
            began: Some(Timestamp::from_micros(1000)),
        }
    }

    #[test]
    fn time_in_the_future_hides_no_change() {
        let at = |micros| newest(&changes(vec![entry(1, 5, true), entry(2, micros, true)]));
        assert_eq!(at(700), Some(Timestamp::from_micros(700)));
        assert_eq!(at(i64::MAX), Some(Timestamp::from_micros(1000)));
        assert_eq!(newest(&changes(vec![entry(1, 5, false)])), None);
    }

    #[test]
    fn lost_changes_are_detected() {
        let mut replica = Replica::new();
        replica.apply(changes(vec![entry(1, 5, true), entry(2, 700, true)]));
        let back = |listed| replica.has_lost_changes(&changes(listed));
        assert!(!back(vec![entry(1, 5, true), entry(2, 700, true)]));
        assert!(!back(vec![entry(1, 5, true), entry(2, 800, false)]));
        assert!(back(vec![entry(1, 5, true)]));
        assert!(back(vec![]));
    }

    #[test]
    fn unreadable_image_is_missing_until_it_is_readable() {
        let mut replica = Replica::new();
        let mut ids_after = |listed| {
            replica.apply(changes(listed));
            let unreadable = replica.unreadable().len();
            (replica.snapshot.records().count(), unreadable)
        };
        assert_eq!(
            ids_after(vec![entry(1, 5, true), entry(2, 5, true)]),
            (2, 0)
        );
        assert_eq!(ids_after(vec![entry(1, 6, false)]), (1, 1));
        assert_eq!(ids_after(vec![entry(1, 6, false)]), (1, 1));
        assert_eq!(ids_after(vec![entry(1, 7, true)]), (2, 0));
    }
}
