//! What stores have that no image has, and what images have that is long over.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::finding::{Finding, Flaw};
use crate::image::{Image, ImageData, ImageId, Location, Status, Timestamp};
use crate::store::{StoredEntry, StoredKey, Stores};

/// What images have in stores.
#[derive(Debug, Default)]
pub(super) struct Owned {
    /// By the name of the store.
    of: BTreeMap<String, HashSet<StoredKey>>,
    /// Where nobody knows in which.
    anywhere: HashSet<StoredKey>,
}

impl Owned {
    pub(super) fn of(images: &[Arc<Image>], unreadable: &[ImageId], stores: &Stores) -> Self {
        let mut owned = Self::default();
        for image in images {
            owned.take_in(image, stores);
        }
        let unreadable = unreadable.iter().copied().map(StoredKey::Image);
        owned.anywhere.extend(unreadable);
        owned
    }

    /// Takes in what an image has: data, or an upload that may have left some.
    fn take_in(&mut self, image: &Image, stores: &Stores) {
        for copy in image.data.iter().flat_map(ImageData::locations) {
            let store = stores.for_location(&copy.uri);
            let store = store.as_deref().ok().map(|store| store.name());
            self.add_image(store, image);
            // It may have the name of another image, given by an administrator.
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

    /// Its data are named by the identifier in lower case, older ones as it was sent.
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

    /// Whether somebody has it.
    pub(super) fn has(&self, store: &str, of: &StoredKey) -> bool {
        let has = |owned: &HashSet<StoredKey>| owned.contains(of);
        has(&self.anywhere) || self.of.get(store).is_some_and(has)
    }

    /// What a store has that nobody has, and that is old enough.
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

/// The image after which an object is named.
fn named_in(location: &Location) -> Option<ImageId> {
    let name = location.expose_rest().rsplit('/').next()?;
    name.parse().ok()
}

/// An upload that began long ago, or something that should have been removed long ago.
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

/// The age of what has none is not known, and it is left alone unless any age will do.
fn is_older(written_at: Option<Timestamp>, than: Duration) -> bool {
    match written_at {
        Some(at) => {
            let age_micros = now().as_micros().saturating_sub(at.as_micros());
            u128::try_from(age_micros).is_ok_and(|age| age >= than.as_micros())
        }
        None => than.is_zero(),
    }
}

/// The time now.
pub(super) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since_epoch.unwrap_or_default().as_micros();
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
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
    fn what_an_image_has_is_no_orphan_and_what_is_young_neither() {
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
        let owned = Owned::of(&images, &[damaged], &Stores::none());
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
    fn what_is_overdue() {
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
