//! The outcome of a write whose answer did not come, as the image shows it afterwards.

use std::sync::Arc;

use super::super::{Record, Version};
use crate::image::{Image, Timestamp};

/// The outcome of a write, as the record shows it.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// It was carried out; this is its result.
    Written(Arc<Record>),
    /// The record is still as it was seen.
    NotWritten,
    /// Another write has taken the version that this one would have made.
    Superseded,
    /// Others have written since.
    Unknown,
}

/// Compares the record that is there with what a write to the version seen makes.
pub(super) fn outcome(current: Option<Arc<Record>>, image: &Image, seen: Version) -> Outcome {
    let Some(current) = current else {
        return match seen {
            0 => Outcome::NotWritten,
            // The registry was restored, or the record was purged.
            _ => Outcome::Superseded,
        };
    };
    if current.version > seen && current.image == *image {
        return Outcome::Written(current);
    }
    // No field of an image shows who wrote it last, but its first write is known for good.
    let is_of_our_insert = seen == 0
        && current.version > 1
        && current.image.created_at == image.created_at
        && current.image.owner == image.owner;
    match current.version {
        version if version <= seen => Outcome::NotWritten,
        _ if is_of_our_insert => Outcome::Written(Arc::new(Record::new(image.clone(), 1))),
        _ if seen == 0 || current.version == seen + 1 => Outcome::Superseded,
        _ => Outcome::Unknown,
    }
}

/// Whether an image is what a write has made of it. The registry sets the times itself.
pub(super) fn is_result(current: &Image, written: &Image) -> bool {
    let lasting = |image: &Image| {
        let mut image = Image {
            members: Vec::new(),
            created_at: Timestamp::from_micros(0),
            updated_at: Timestamp::from_micros(0),
            deleted_at: None,
            ..image.clone()
        };
        if let Some(data) = &mut image.data {
            // The registry has one size and one checksum of an image.
            (data.size_bytes, data.checksum) = (image.size_bytes, image.checksum.clone());
        }
        image
    };
    lasting(current) == lasting(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageId;

    fn record(image: &Image, version: Version) -> Option<Arc<Record>> {
        Some(Arc::new(Record::new(image.clone(), version)))
    }

    #[test]
    fn a_write_is_known_by_its_result() {
        let ours = Image::queued(ImageId::random(), Timestamp::from_micros(7));
        let other = Image {
            name: Some("other".to_owned()),
            ..ours.clone()
        };
        let foreign = Image {
            created_at: Timestamp::from_micros(8),
            ..other.clone()
        };
        let written = |version| Outcome::Written(record(&ours, version).unwrap());
        for (current, seen, wanted) in [
            (None, 0, Outcome::NotWritten),
            (record(&ours, 1), 0, written(1)),
            (record(&other, 2), 0, written(1)),
            (record(&foreign, 1), 0, Outcome::Superseded),
            (record(&foreign, 5), 0, Outcome::Superseded),
            (record(&other, 3), 3, Outcome::NotWritten),
            (record(&ours, 4), 3, written(4)),
            (record(&ours, 5), 3, written(5)),
            (record(&other, 4), 3, Outcome::Superseded),
            (record(&other, 5), 3, Outcome::Unknown),
            // The registry was restored from a backup.
            (None, 3, Outcome::Superseded),
            (record(&ours, 2), 3, Outcome::NotWritten),
        ] {
            let found = outcome(current.clone(), &ours, seen);
            assert_eq!(found, wanted, "{current:?} after {seen}");
        }
    }
}
