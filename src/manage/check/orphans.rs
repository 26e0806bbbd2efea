//! Finds data in stores that belong to no image, and images with overdue uploads or removals.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::finding::{Finding, Flaw};
use crate::clock;
use crate::image::{Image, ImageData, ImageId, Location, Status, Timestamp};
use crate::store::{StoredEntry, StoredKey, Stores};

/// The keys in stores that belong to images.
#[derive(Debug, Default)]
pub(super) struct OwnedData {
    /// The keys by the name of the store.
    of: BTreeMap<String, HashSet<StoredKey>>,
    /// Keys that may be in any store.
    anywhere: HashSet<StoredKey>,
}

impl OwnedData {
    pub(super) fn of(images: &[Arc<Image>], unreadable: &[ImageId], stores: &Stores) -> Self {
        let mut owned = Self::default();
        for image in images {
            owned.take_in(image, stores);
        }
        let unreadable = unreadable.iter().copied().map(StoredKey::Image);
        owned.anywhere.extend(unreadable);
        owned
    }

    /// Adds the keys of an image: of its data, and of an upload that may have left data.
    fn take_in(&mut self, image: &Image, stores: &Stores) {
        for copy in image.data.iter().flat_map(ImageData::locations) {
            let store = stores.for_location(&copy.uri);
            let store = store.as_deref().ok().map(|store| store.name());
            self.add_image(store, image);
            // An administrator may have set a location that is named after another image.
            if let Some(named) = named_in(&copy.uri) {
                self.add(store, StoredKey::Image(named));
            }
        }
        if let Some(upload) = &image.upload {
            let store = stores.choose(Some(&upload.store));
            let store = store.as_deref().ok().map(|store| store.name());
            self.add_image(store, image);
            self.add(store, StoredKey::Upload(upload.id));
        }
    }

    /// Adds the keys of an image's data. They are named by the identifier in lower case; older
    /// releases used the spelling of the request.
    fn add_image(&mut self, store: Option<&str>, image: &Image) {
        self.add(store, StoredKey::Image(image.id));
        self.add(store, StoredKey::Image(image.id.to_lower()));
    }

    fn add(&mut self, store: Option<&str>, of: StoredKey) {
        match store {
            Some(store) => self.of.entry(store.to_owned()).or_default().insert(of),
            None => self.anywhere.insert(of),
        };
    }

    /// Returns true if a key belongs to an image.
    pub(super) fn has(&self, store: &str, of: &StoredKey) -> bool {
        let has = |owned: &HashSet<StoredKey>| owned.contains(of);
        has(&self.anywhere) || self.of.get(store).is_some_and(has)
    }

    /// Returns the entries of a store that belong to no image and are old enough.
    pub(super) fn orphans(
        &self,
        store: &str,
        mut stored: Vec<StoredEntry>,
        older_than: Duration,
    ) -> Vec<Finding> {
        stored.retain(|stored| {
            !self.has(store, &stored.key) && is_older(stored.written_at, older_than)
        });
        stored.sort_by_key(|stored| stored.key);
        let finding = |stored: &StoredEntry| Finding::orphan(store, stored);
        stored.iter().map(finding).collect()
    }
}

/// Returns the image that the last part of a location names.
fn named_in(location: &Location) -> Option<ImageId> {
    let name = location.expose_rest().rsplit('/').next()?;
    name.parse().ok()
}

/// Returns a finding if the image has an upload that began long ago, or data that should have been
/// removed long ago.
pub(super) fn overdue(image: &Image, older_than: Duration) -> Option<Finding> {
    if image.has_remains() {
        let since = image.updated_at;
        return is_older(Some(since), older_than).then(|| Finding {
            since: Some(since),
            ..Finding::of_image(Flaw::Remains, image)
        });
    }
    let is_under_way = matches!(image.status, Status::Queued | Status::Saving);
    let upload = image.upload.as_ref().filter(|_| is_under_way)?;
    is_older(Some(upload.started_at), older_than).then(|| Finding {
        upload: Some(upload.id),
        store: Some(upload.store.clone()),
        since: Some(upload.started_at),
        reason: upload
            .node
            .as_ref()
            .map(|node| format!("the node is {node}")),
        ..Finding::of_image(Flaw::StaleUpload, image)
    })
}

/// Returns true if something was written at least `than` ago. Without a known time it counts as new,
/// unless every age qualifies.
fn is_older(written_at: Option<Timestamp>, than: Duration) -> bool {
    match written_at {
        Some(at) => {
            let age_micros = now().as_micros().saturating_sub(at.as_micros());
            u128::try_from(age_micros).is_ok_and(|age| age >= than.as_micros())
        }
        None => than.is_zero(),
    }
}

/// Returns the current time.
pub(super) fn now() -> Timestamp {
    Timestamp::from_micros(clock::micros(clock::since_epoch()))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::image::{ImageData, Upload};

    const HOUR: Duration = Duration::from_secs(3600);

    fn queued() -> Image {
        Image::queued(ImageId::random(), Timestamp::from_micros(0))
    }

    fn upload_since(started_at: Timestamp) -> Upload {
        Upload {
            id: Uuid::new_v4(),
            store: "file".to_owned(),
            started_at,
            reserved_bytes: 0,
            node: None,
            process: None,
            on_failure: Default::default(),
        }
    }

    #[test]
    fn owned_or_recent_data_are_no_orphans() {
        let mut uploading = queued();
        let upload = upload_since(now());
        uploading.upload = Some(upload.clone());
        let mut elsewhere = queued();
        let other = ImageId::random();
        elsewhere.data = Some(ImageData::new(
            Location::parse(&format!("file:///x/{other}")).unwrap(),
            1,
            None,
        ));
        let damaged = ImageId::random();
        let images = [uploading.clone(), elsewhere.clone()].map(Arc::new);
        let owned = OwnedData::of(&images, &[damaged], &Stores::none());
        let old = Some(Timestamp::from_micros(0));
        let stored = |key, written_at| StoredEntry {
            key,
            size_bytes: 1,
            written_at,
        };
        let of_somebody = [uploading.id, elsewhere.id, other, damaged].map(StoredKey::Image);
        let mut all = Vec::from(of_somebody.map(|of| stored(of, old)));
        all.push(stored(StoredKey::Upload(upload.id), old));
        assert_eq!(owned.orphans("file", all, HOUR), []);

        let lost = StoredKey::Image(ImageId::random());
        let ages = [old, Some(now()), None].map(|age| stored(lost, age));
        assert_eq!(owned.orphans("file", ages.to_vec(), HOUR).len(), 1);
        assert_eq!(
            owned.orphans("file", ages.to_vec(), Duration::ZERO).len(),
            3
        );
    }

    #[test]
    fn old_uploads_and_remains_are_overdue() {
        let mut image = queued();
        assert_eq!(overdue(&image, HOUR), None);
        image.status = Status::Saving;
        image.upload = Some(upload_since(now()));
        assert_eq!(overdue(&image, HOUR), None);
        image.upload = Some(upload_since(Timestamp::from_micros(0)));
        let found = overdue(&image, HOUR).map(|finding| finding.flaw);
        assert_eq!(found, Some(Flaw::StaleUpload));
        image.status = Status::Killed;
        let found = overdue(&image, HOUR).map(|finding| finding.flaw);
        assert_eq!(found, Some(Flaw::Remains));
        image.updated_at = now();
        assert_eq!(overdue(&image, HOUR), None);
    }
}
