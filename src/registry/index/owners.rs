//! What the images of each owner take up, kept up to date write by write.

use imbl::HashMap;

use crate::image::{Image, Usage};

/// The usage of every owner who has any. Cloning is cheap.
#[derive(Clone, Default)]
pub(super) struct Owners {
    owned: HashMap<String, Usage>,
    /// By images that nobody owns.
    ownerless: Usage,
    total: Usage,
}

impl Owners {
    pub(super) fn usage(&self, owner: Option<&str>) -> Usage {
        match owner {
            Some(owner) => self.owned.get(owner).copied().unwrap_or_default(),
            None => self.ownerless,
        }
    }

    pub(super) fn total(&self) -> Usage {
        self.total
    }

    /// Counts a new state of an image in the place of its old one.
    pub(super) fn put(&mut self, old: Option<&Image>, new: &Image) {
        let after = Usage::of(new);
        if let Some(old) = old {
            let before = Usage::of(old);
            if before == after && old.owner == new.owner {
                return;
            }
            self.change(old.owner.as_deref(), |usage| *usage -= before);
        }
        self.change(new.owner.as_deref(), |usage| *usage += after);
    }

    fn change(&mut self, owner: Option<&str>, change: impl Fn(&mut Usage)) {
        change(&mut self.total);
        let Some(owner) = owner else {
            change(&mut self.ownerless);
            return;
        };
        let mut usage = self.usage(Some(owner));
        change(&mut usage);
        // Who has nothing left is forgotten.
        if usage == Usage::default() {
            self.owned.remove(owner);
        } else {
            self.owned.insert(owner.to_owned(), usage);
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
        });
        image
    }

    fn figures(owners: &Owners, owner: Option<&str>) -> (u64, u64) {
        let usage = owners.usage(owner);
        (usage.images, usage.bytes())
    }

    #[test]
    fn an_image_counts_for_whoever_owns_it() {
        let mut owners = Owners::default();
        let (a, nobodys) = (image(Some("a"), 5), image(None, 7));
        owners.put(None, &a);
        owners.put(None, &nobodys);
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
        assert!(owners.owned.is_empty(), "nobody is remembered for nothing");
        assert_eq!(owners.total(), owners.usage(None));
    }
}
