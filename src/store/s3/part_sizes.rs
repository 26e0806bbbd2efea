//! Chooses the sizes of an image's parts within the limits of S3.

/// The most parts of one object (S3 limit).
const MAX_PARTS: u64 = 10_000;

/// The most parts that an image of known size is planned to have. The rest is a margin for images
/// that turn out larger.
const PLANNED_PARTS: u64 = 9_000;

/// Number of parts after which their size doubles, if the image's size is unknown.
const DOUBLED_EVERY: u64 = 500;

/// The largest part (S3 limit).
const LARGEST_PART_BYTES: u64 = 5 << 30;

/// The smallest part except the last (S3 limit).
const SMALLEST_PART_BYTES: u64 = 5 << 20;

/// Sizes are whole multiples of this, so that parts are made of whole blocks.
const STEP_BYTES: u64 = 1 << 20;

/// The part sizes of one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct PartSizes {
    first_bytes: u64,
    max_bytes: u64,
    is_growing: bool,
}

impl PartSizes {
    /// Plans the parts of an image, of known or unknown size. Parts of a known size can be
    /// streamed; others must be buffered, so they are at most `max_buffered_bytes`. Returns `None`
    /// if the image needs parts above the limit of S3.
    pub(super) fn plan(
        image_bytes: Option<u64>,
        min_bytes: u64,
        max_buffered_bytes: u64,
    ) -> Option<Self> {
        let Some(image_bytes) = image_bytes else {
            return Some(Self {
                first_bytes: min_bytes.min(max_buffered_bytes),
                max_bytes: max_buffered_bytes.min(LARGEST_PART_BYTES),
                is_growing: true,
            });
        };
        let needed = image_bytes.div_ceil(PLANNED_PARTS);
        let first_bytes = needed.next_multiple_of(STEP_BYTES).max(min_bytes);
        (first_bytes <= LARGEST_PART_BYTES).then_some(Self {
            first_bytes,
            max_bytes: LARGEST_PART_BYTES,
            is_growing: false,
        })
    }

    /// Returns the size of a part, whose number starts at 1, or `None` beyond the last allowed
    /// part.
    pub(super) fn of(&self, number: u64) -> Option<u64> {
        if number > MAX_PARTS {
            return None;
        }
        let doubled = match self.is_growing {
            true => (number - 1) / DOUBLED_EVERY,
            false => 0,
        };
        Some((self.first_bytes << doubled).min(self.max_bytes))
    }

    /// Returns the size from which on a part of unknown length may be sent before it is full, to
    /// release its memory. It is a quarter of the full size, because smaller parts would use up the
    /// part numbers too early.
    pub(super) fn sendable(&self, part_bytes: u64) -> u64 {
        part_bytes.min((part_bytes / 4).max(SMALLEST_PART_BYTES))
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
    fn known_sizes_fit_into_the_planned_parts() {
        for image_bytes in [TIB / 10, TIB, 5 * TIB, 43 * TIB] {
            let sizes = PartSizes::plan(Some(image_bytes), 8 * MIB, 64 * MIB).unwrap();
            let part = sizes.of(1).unwrap();
            assert!(part * PLANNED_PARTS >= image_bytes);
            assert!((part - MIB) * PLANNED_PARTS < image_bytes);
        }
        assert!(PartSizes::plan(Some(50 * TIB), 8 * MIB, 64 * MIB).is_none());
    }

    #[test]
    fn unknown_sizes_are_bounded_by_the_memory() {
        let total = |sizes: PartSizes| (1..=10_000).filter_map(|n| sizes.of(n)).sum::<u64>();
        let sizes = PartSizes::plan(None, 8 * MIB, 128 * MIB).unwrap();
        assert!(total(sizes) > TIB, "{}", total(sizes));
        let default = PartSizes::plan(None, 8 * MIB, 64 * MIB).unwrap();
        assert!(total(default) > 550 << 30, "{}", total(default));
        assert_eq!(sizes.of(500), Some(8 * MIB));
        assert_eq!(sizes.of(501), Some(16 * MIB));
        assert_eq!(sizes.of(10_000), Some(128 * MIB));
        let largest = PartSizes::plan(None, 8 * MIB, TIB).unwrap();
        assert_eq!(largest.of(10_000), Some(LARGEST_PART_BYTES));
    }

    #[test]
    fn parts_sent_early_have_at_least_the_minimum_of_s3() {
        let sizes = PartSizes::plan(None, 8 * MIB, 128 * MIB).unwrap();
        assert_eq!(sizes.sendable(8 * MIB), 5 * MIB);
        assert_eq!(sizes.sendable(128 * MIB), 32 * MIB);
        assert_eq!(sizes.sendable(4 * MIB), 4 * MIB);
    }
}
