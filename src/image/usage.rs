//! Storage usage of an owner's images, and the operator's limits on it.

use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};

use super::{Image, Status};

/// The usage of one image, or of all images of an owner.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Number of images that clients have not deleted, in any status.
    pub images: u64,
    /// Bytes in use: the data of images, including those that wait for the scrubber, and the
    /// reservations of uploads in progress. Data at a location that a client named count too, as
    /// in Glance.
    pub kept_bytes: u64,
    /// Bytes being removed: data of deleted images and of failed uploads.
    pub leaving_bytes: u64,
}

impl Usage {
    /// Returns the usage of one image.
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
            // The upload of an image with data, or of a killed one, has failed; its bytes are being
            // removed.
            _ => (usage.kept_bytes, usage.leaving_bytes) = (data, upload),
        }
        usage
    }

    /// Returns the sum of all bytes.
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

/// Limits on the images of one owner. Images without an owner count together, as if they had one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerLimits {
    /// Most bytes; `None` for no limit.
    pub bytes: Option<u64>,
    /// Most images; `None` for no limit.
    pub images: Option<u64>,
}

/// The limit that an image would exceed.
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
    /// Checks a change of one image: `others` is the usage of the owner's other images, `before`
    /// and `after` that of this one before and after the change. A change that uses no more than
    /// before always passes, even if the limit is exceeded already.
    ///
    /// # Errors
    /// [`OverLimit`] with the figures of Glance's message.
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
            on_failure: Default::default(),
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
    fn stored_bytes_count_until_they_are_removed() {
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
    fn limits_are_inclusive() {
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
