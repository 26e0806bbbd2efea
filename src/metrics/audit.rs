//! Metrics of the verification of stored and cached data against their MD5.

use metrics::{Unit, counter, gauge};

use super::table::{Metric, Shape};

const BYTES: &str = "glance_verified_bytes_total";
const COMPARED: &str = "glance_verified_images_total";
const DAMAGED: &str = "glance_damaged_images";
const LAST_ROUND: &str = "glance_last_verification_timestamp_seconds";

pub(super) const TABLE: &[Metric] = &[
    Metric {
        name: BYTES,
        shape: Shape::Counter,
        unit: Unit::Bytes,
        help: "Bytes of stored and cached images that were read for verification.",
    },
    Metric {
        name: COMPARED,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Verifications of stored and cached images, by place and result: right, wrong, failed (could not be read).",
    },
    Metric {
        name: DAMAGED,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Stored images whose data do not match their checksums; they are not served.",
    },
    Metric {
        name: LAST_ROUND,
        shape: Shape::Gauge,
        unit: Unit::Seconds,
        help: "Time since the epoch at which the last verification of all images ended.",
    },
];

/// The kind of the verified data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedCopy {
    /// In a store.
    Image,
    /// In the image cache.
    Cached,
}

/// Counts a verification.
pub fn count_verification(place: VerifiedCopy, result: &'static str) {
    let place = match place {
        VerifiedCopy::Image => "store",
        VerifiedCopy::Cached => "cache",
    };
    counter!(COMPARED, "place" => place, "result" => result).increment(1);
}

/// Counts bytes that were read for verification.
pub fn count_verified_bytes(bytes: usize) {
    counter!(BYTES).increment(bytes as u64);
}

/// Sets the number of damaged images.
pub fn set_damaged_images(images: usize) {
    gauge!(DAMAGED).set(images as f64);
}

/// Records the end of a verification of all images.
pub fn verification_finished() {
    gauge!(LAST_ROUND).set(crate::clock::since_epoch().as_secs_f64());
}
