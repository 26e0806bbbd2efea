//! The usage of each owner's images, updated with every write.

use imbl::HashMap;

use crate::image::{Image, Usage};

/// The usage of every owner that has any. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Owners {
    owned: HashMap<String, Owned>,
    /// The images without an owner.
    ownerless: Owned,
    total: Usage,
}

/// The images of one owner.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Owned {
    usage: Usage,
    /// Deleted images of which only the record remains.
    deleted_images: u64,
}

impl Owners {
    pub(super) fn usage(&self, owner: Option<&str>) -> Usage {
        self.owned(owner).usage
    }

    pub(super) fn deleted_images(&self, owner: Option<&str>) -> u64 {
        self.owned(owner).deleted_images
    }

    pub(super) fn total(&self) -> Usage {
        self.total
    }

    /// Replaces the old state of an image by a new one.
    pub(super) fn put(&mut self, old: Option<&Image>, new: &Image) {
        let after = Owned::of(new);
        if let Some(old) = old {
            if Owned::of(old) == after && old.owner == new.owner {
                return;
            }
            self.remove(old);
        }
        self.total += after.usage;
        self.change(new.owner.as_deref(), |owned| {
            owned.usage += after.usage;
            owned.deleted_images += after.deleted_images;
        });
    }

    /// Removes an image.
    pub(super) fn remove(&mut self, old: &Image) {
        let before = Owned::of(old);
        self.total -= before.usage;
        self.change(old.owner.as_deref(), |owned| {
            owned.usage -= before.usage;
            owned.deleted_images = owned.deleted_images.saturating_sub(before.deleted_images);
        });
    }

    fn owned(&self, owner: Option<&str>) -> Owned {
        match owner {
            Some(owner) => self.owned.get(owner).copied().unwrap_or_default(),
            None => self.ownerless,
        }
    }

    fn change(&mut self, owner: Option<&str>, change: impl Fn(&mut Owned)) {
        let Some(owner) = owner else {
            change(&mut self.ownerless);
            return;
        };
        let mut owned = self.owned(Some(owner));
        change(&mut owned);
        // An owner without images must not use memory.
        if owned == Owned::default() {
            self.owned.remove(owner);
        } else {
            self.owned.insert(owner.to_owned(), owned);
        }
    }
}

impl Owned {
    fn of(image: &Image) -> Self {
        Self {
            usage: Usage::of(image),
            deleted_images: image.is_tombstone().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageId, Status, Timestamp, Upload};

    fn image(owner: Option<&str>, reserved_bytes: u64) -> Image {
        let now = Timestamp::from_micros(0);
        let mut image = Image::queued(ImageId::random(), now);
        image.owner = owner.map(str::to_owned);
        image.upload = Some(Upload {
            id: uuid::Uuid::new_v4(),
            store: "file".into(),
            started_at: now,
            reserved_bytes,
            node: None,
            process: None,
            on_failure: Default::default(),
        });
        image
    }

    fn figures(owners: &Owners, owner: Option<&str>) -> (u64, u64) {
        let usage = owners.usage(owner);
        (usage.images, usage.bytes())
    }

    #[test]
    fn image_counts_for_its_current_owner() {
        let mut owners = Owners::default();
        let (a, ownerless) = (image(Some("a"), 5), image(None, 7));
        owners.put(None, &a);
        owners.put(None, &ownerless);
        assert_eq!(figures(&owners, Some("a")), (1, 5));
        assert_eq!(figures(&owners, None), (1, 7));
        assert_eq!(owners.total().bytes(), 12);
        let given = Image {
            owner: Some("b".to_owned()),
            ..a.clone()
        };
        owners.put(Some(&a), &given);
        assert_eq!(figures(&owners, Some("a")), (0, 0));
        assert_eq!(figures(&owners, Some("b")), (1, 5));
        let gone = Image {
            status: Status::Deleted,
            upload: None,
            ..given.clone()
        };
        owners.put(Some(&given), &gone);
        assert_eq!(figures(&owners, Some("b")), (0, 0));
        assert_eq!(owners.deleted_images(Some("b")), 1);
        owners.remove(&gone);
        assert_eq!(owners.deleted_images(Some("b")), 0);
        assert!(owners.owned.is_empty(), "owners without images are removed");
        assert_eq!(owners.total(), owners.usage(None));
    }
}
