//! How large the parts of an image are.

/// Parts that S3 takes for one object.
const MOST_PARTS: u64 = 10_000;

/// Parts that an image of known size is planned to have: room for what it is not.
const PLANNED_PARTS: u64 = 9_000;

/// Parts after which they double, where the size is not known.
const DOUBLED_EVERY: u64 = 1_000;

/// Sizes are whole multiples of this, so that parts are made of whole blocks.
const STEP_BYTES: u64 = 1 << 20;

/// The rule for one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartSizes {
    first_bytes: u64,
    most_bytes: u64,
    is_growing: bool,
}

impl PartSizes {
    /// For an image of this size, or one whose size nobody says. `None` when it would need
    /// parts larger than `most_bytes`.
    pub(super) fn plan(
        image_bytes: Option<u64>,
        least_bytes: u64,
        most_bytes: u64,
    ) -> Option<Self> {
        let needed = image_bytes.map_or(0, |bytes| bytes.div_ceil(PLANNED_PARTS));
        let first_bytes = needed.next_multiple_of(STEP_BYTES).max(least_bytes);
        (first_bytes <= most_bytes).then_some(Self {
            first_bytes,
            most_bytes,
            is_growing: image_bytes.is_none(),
        })
    }

    /// The size of a part, by its number from 1; `None` when there may be no such part.
    pub(super) fn of(&self, number: u64) -> Option<u64> {
        if number > MOST_PARTS {
            return None;
        }
        let doubled = match self.is_growing {
            true => (number - 1) / DOUBLED_EVERY,
            false => 0,
        };
        Some((self.first_bytes << doubled).min(self.most_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const TIB: u64 = 1 << 40;

    #[test]
    fn small_images_have_the_smallest_parts() {
        let sizes = PartSizes::plan(Some(1 << 30), 8 * MIB, 128 * MIB).unwrap();
        assert_eq!(sizes.of(1), Some(8 * MIB));
        assert_eq!(sizes.of(10_000), Some(8 * MIB));
        assert_eq!(sizes.of(10_001), None);
    }

    #[test]
    fn known_sizes_fit_into_the_parts_there_are() {
        for image_bytes in [TIB / 10, TIB, 5 * TIB] {
            let sizes = PartSizes::plan(Some(image_bytes), 8 * MIB, 1 << 30).unwrap();
            let part = sizes.of(1).unwrap();
            assert!(part * PLANNED_PARTS >= image_bytes);
            assert!((part - MIB) * PLANNED_PARTS < image_bytes);
        }
    }

    #[test]
    fn unknown_sizes_reach_the_largest_object() {
        let sizes = PartSizes::plan(None, 8 * MIB, 5 << 30).unwrap();
        let total: u64 = (1..=10_000).map(|number| sizes.of(number).unwrap()).sum();
        assert!(total > 5 * TIB, "{total}");
        assert_eq!(sizes.of(1_000), Some(8 * MIB));
        assert_eq!(sizes.of(1_001), Some(16 * MIB));
        let bounded = PartSizes::plan(None, 8 * MIB, 100 * MIB).unwrap();
        assert_eq!(bounded.of(10_000), Some(100 * MIB));
    }

    #[test]
    fn a_part_must_fit_into_the_memory() {
        assert!(PartSizes::plan(Some(5 * TIB), 8 * MIB, 128 * MIB).is_none());
    }
}
