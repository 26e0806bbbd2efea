//! Metrics of comparing stored data with their MD5.

use std::time::{SystemTime, UNIX_EPOCH};

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
        help: "Bytes of stored and cached images that were read to compare them with their checksums.",
    },
    Metric {
        name: COMPARED,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Comparisons of stored and cached images with their checksums, by place and result: right, wrong, failed (could not be read).",
    },
    Metric {
        name: DAMAGED,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Stored images whose data are known not to match their checksums; they are not served.",
    },
    Metric {
        name: LAST_ROUND,
        shape: Shape::Gauge,
        unit: Unit::Seconds,
        help: "When all stored and cached images were last compared, since the epoch.",
    },
];

/// Where compared data are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedCopy {
    /// In a store.
    Image,
    /// In the image cache.
    Cached,
}

/// Data were compared.
pub fn count_verification(place: VerifiedCopy, result: &'static str) {
    let place = match place {
        VerifiedCopy::Image => "store",
        VerifiedCopy::Cached => "cache",
    };
    counter!(COMPARED, "place" => place, "result" => result).increment(1);
}

/// Bytes were read for a comparison.
pub fn count_verified_bytes(bytes: usize) {
    counter!(BYTES).increment(bytes as u64);
}

/// How many stored images are damaged.
pub fn set_damaged_images(images: usize) {
    gauge!(DAMAGED).set(images as f64);
}

/// All images were compared.
pub fn verification_finished() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    gauge!(LAST_ROUND).set(now.unwrap_or_default().as_secs_f64());
}
