//! Determines the outcome of a write whose response was lost, from the record as it is afterwards.

use std::sync::Arc;

use super::super::refusals::{CANNOT_WRITE, unavailable};
use super::super::{Record, Version};
use crate::error::Error;
use crate::image::{Image, Timestamp};

/// Maximum number of attempts of a write whose outcome is unknown.
pub(super) const MAX_ATTEMPTS: usize = 3;

/// The outcome of a write.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// The write was executed, with this result.
    Written(Arc<Record>),
    /// The record still has the version that was seen.
    NotWritten,
    /// Another write has produced the next version, so this one cannot have been executed.
    Superseded,
    /// Several writes followed. It cannot be determined whether this one is among them.
    Unknown,
}

/// Compares the current record with the result of a write to the version `seen`.
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
    // No field shows who wrote an image last, but the time and owner of its creation never change.
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

/// Returns true if an image is the result of a write. The registry server sets the times itself.
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
            // The registry API has one size and one checksum per image.
            (data.size_bytes, data.checksum) = (image.size_bytes, image.checksum.clone());
        }
        image
    };
    lasting(current) == lasting(written)
}

/// Returns the error of a write for which [`Outcome::Unknown`] remains.
pub(super) fn outcome_unknown() -> Error {
    let cause = "a response of the registry server was lost, and other writes have followed";
    unavailable(CANNOT_WRITE, cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::ImageId;

    fn record(image: &Image, version: Version) -> Option<Arc<Record>> {
        Some(Arc::new(Record::new(image.clone(), version)))
    }

    #[test]
    fn outcome_of_a_lost_response_follows_from_the_record() {
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
