//! What an owner's images take up, and how much of it there may be.

use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};

use super::{Image, Status};

/// What images take up: one image's, or all of an owner's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Images that clients have not deleted, whatever their status.
    pub images: u64,
    /// Bytes that are there to stay: the data of images, of those that wait for the scrubber
    /// too, and what uploads under way have reserved. Data at a location that a client named
    /// count as well, as in Glance.
    pub kept_bytes: u64,
    /// Bytes that somebody is removing: those of deleted images and of failed uploads.
    pub leaving_bytes: u64,
}

impl Usage {
    /// What one image takes up.
    pub fn of(image: &Image) -> Self {
        let data = image.data.as_ref().map_or(0, |data| data.size_bytes);
        let upload = image.upload.as_ref();
        let upload = upload.map_or(0, |upload| upload.reserved_bytes);
        let mut usage = Self {
            images: u64::from(!image.status.is_gone()),
            ..Self::default()
        };
        match image.status {
            Status::Deleted => usage.leaving_bytes = data.saturating_add(upload),
            Status::Queued | Status::Saving => usage.kept_bytes = upload,
            _ => (usage.kept_bytes, usage.leaving_bytes) = (data, upload),
        }
        usage
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.kept_bytes.saturating_add(self.leaving_bytes)
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.images = self.images.saturating_add(other.images);
        self.kept_bytes = self.kept_bytes.saturating_add(other.kept_bytes);
        self.leaving_bytes = self.leaving_bytes.saturating_add(other.leaving_bytes);
    }
}

impl SubAssign for Usage {
    fn sub_assign(&mut self, other: Self) {
        self.images = self.images.saturating_sub(other.images);
        self.kept_bytes = self.kept_bytes.saturating_sub(other.kept_bytes);
        self.leaving_bytes = self.leaving_bytes.saturating_sub(other.leaving_bytes);
    }
}

/// The most that the images of one owner may take up. Images without an owner count together,
/// as if somebody owned them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Bytes; `None` for any number.
    pub bytes: Option<u64>,
    /// Images; `None` for any number.
    pub images: Option<u64>,
}

/// Why an image takes up too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverLimit {
    #[error(
        "Denying attempt to upload image because it exceeds the quota: The size of the data \
         {size_bytes} will exceed the limit. {remaining_bytes} bytes remaining."
    )]
    Bytes {
        size_bytes: u64,
        remaining_bytes: u64,
    },
    #[error(
        "The limit has been exceeded on the number of allowed images for this tenant. \
         Attempted: {attempted}, Maximum: {maximum}"
    )]
    Images { attempted: u64, maximum: u64 },
}

impl OwnerLimits {
    /// Judges a change of one image: `others` is what the other images of its owner take up,
    /// `before` what this one did for the same owner, `after` what it will. What takes up no
    /// more than before is never refused, however little there is.
    ///
    /// # Errors
    /// [`OverLimit`] with the figures that Glance tells.
    pub fn check(&self, others: Usage, before: Usage, after: Usage) -> Result<(), OverLimit> {
        let attempted = others.images.saturating_add(after.images);
        if let Some(maximum) = self.images
            && after.images > before.images
            && attempted > maximum
        {
            return Err(OverLimit::Images { attempted, maximum });
        }
        if let Some(limit_bytes) = self.bytes
            && after.bytes() > before.bytes()
            && others.bytes().saturating_add(after.bytes()) > limit_bytes
        {
            return Err(OverLimit::Bytes {
                size_bytes: after.bytes(),
                remaining_bytes: limit_bytes.saturating_sub(others.bytes()),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ImageData, ImageId, Location, Timestamp, Upload};
    use super::*;

    fn image(status: Status, data: Option<u64>, reserved: Option<u64>) -> Image {
        let mut image = Image::queued(ImageId::random(), Timestamp::from_micros(0));
        image.status = status;
        image.data = data.map(|size_bytes| {
            ImageData::new(Location::parse("file:///x").unwrap(), size_bytes, None)
        });
        image.upload = reserved.map(|reserved_bytes| Upload {
            id: uuid::Uuid::new_v4(),
            store: "file".into(),
            started_at: Timestamp::from_micros(0),
            reserved_bytes,
            node: None,
            process: None,
        });
        image
    }

    fn bytes(kept_bytes: u64, leaving_bytes: u64) -> Usage {
        Usage {
            images: 1,
            kept_bytes,
            leaving_bytes,
        }
    }

    #[test]
    fn what_is_in_a_store_counts_until_it_is_gone() {
        use Status::{Active, Deactivated, Deleted, Killed, PendingDelete, Queued, Saving};
        for (status, data, reserved, usage) in [
            (Queued, None, None, bytes(0, 0)),
            (Queued, None, Some(5), bytes(5, 0)),
            (Saving, None, Some(5), bytes(5, 0)),
            (Active, Some(7), None, bytes(7, 0)),
            (Deactivated, Some(7), None, bytes(7, 0)),
            (Killed, None, Some(5), bytes(0, 5)),
            (Killed, None, None, bytes(0, 0)),
        ] {
            assert_eq!(
                Usage::of(&image(status, data, reserved)),
                usage,
                "{status:?}"
            );
        }
        for (status, data, reserved, usage) in [
            (PendingDelete, Some(7), None, bytes(7, 0)),
            (Deleted, Some(7), None, bytes(0, 7)),
            (Deleted, None, Some(5), bytes(0, 5)),
            (Deleted, None, None, bytes(0, 0)),
        ] {
            let usage = Usage { images: 0, ..usage };
            assert_eq!(
                Usage::of(&image(status, data, reserved)),
                usage,
                "{status:?}"
            );
        }
    }

    #[test]
    fn up_to_the_last_byte_and_no_further() {
        let limits = OwnerLimits {
            bytes: Some(100),
            images: Some(3),
        };
        let others = Usage {
            images: 2,
            kept_bytes: 50,
            leaving_bytes: 10,
        };
        let none = Usage::default();
        assert_eq!(limits.check(others, none, bytes(40, 0)), Ok(()));
        let refused = OverLimit::Bytes {
            size_bytes: 41,
            remaining_bytes: 40,
        };
        assert_eq!(limits.check(others, none, bytes(41, 0)), Err(refused));
        assert_eq!(limits.check(others, bytes(90, 0), bytes(80, 0)), Ok(()));
        assert_eq!(limits.check(others, bytes(90, 0), bytes(0, 90)), Ok(()));
        let full = Usage { images: 3, ..none };
        let refused = OverLimit::Images {
            attempted: 4,
            maximum: 3,
        };
        assert_eq!(limits.check(full, none, bytes(0, 0)), Err(refused));
        assert_eq!(limits.check(full, bytes(0, 0), bytes(1, 0)), Ok(()));
        assert_eq!(
            OwnerLimits::default().check(full, none, bytes(u64::MAX, 9)),
            Ok(())
        );
    }
}
