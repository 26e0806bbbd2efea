//! Metrics of the image cache.

use std::time::Duration;

use metrics::{Unit, counter, gauge, histogram};

use super::table::{Metric, REQUEST_SECONDS, Shape};

const ANSWERS: &str = "glance_cache_requests_total";
const EVICTIONS: &str = "glance_cache_evictions_total";
const FILLS: &str = "glance_cache_fills_total";
const FILL_DURATION: &str = "glance_cache_fill_duration_seconds";
const FILLED_BYTES: &str = "glance_cache_filled_bytes_total";
const FILLS_IN_FLIGHT: &str = "glance_cache_fills_in_flight";
const BYTES: &str = "glance_cache_bytes";
const LIMIT_BYTES: &str = "glance_cache_limit_bytes";
const IMAGES: &str = "glance_cache_images";
const QUEUED: &str = "glance_cache_queued_images";

pub(super) const TABLE: &[Metric] = &[
    Metric {
        name: ANSWERS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Cache lookups of downloads, by result: hit (cached), miss (started a fill), coalesced (joined a fill), bypass (no space in the cache; read from the store).",
    },
    Metric {
        name: EVICTIONS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Images removed from the cache, by reason: room (space needed), deleted, damaged.",
    },
    Metric {
        name: FILLS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Cache fills that ended, by result: kept, no_room, dropped (complete, but the image was deleted meanwhile), failed, wrong (an attempt with a wrong checksum).",
    },
    Metric {
        name: FILL_DURATION,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Duration of fills whose image was kept.",
    },
    Metric {
        name: FILLED_BYTES,
        shape: Shape::Counter,
        unit: Unit::Bytes,
        help: "Bytes that fills received from stores; its rate is the fill rate.",
    },
    Metric {
        name: FILLS_IN_FLIGHT,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Fills in progress.",
    },
    Metric {
        name: BYTES,
        shape: Shape::Gauge,
        unit: Unit::Bytes,
        help: "Bytes of the cache, by state: kept, filling, leaving (removed but still being read).",
    },
    Metric {
        name: LIMIT_BYTES,
        shape: Shape::Gauge,
        unit: Unit::Bytes,
        help: "Most bytes that the cache may use.",
    },
    Metric {
        name: IMAGES,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Images in the cache.",
    },
    Metric {
        name: QUEUED,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Images queued for the cache.",
    },
];

/// Result of a cache lookup for a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheLookup {
    /// The image is cached.
    Hit,
    /// The download starts a fill.
    Miss,
    /// The download joins a fill in progress.
    Coalesced,
    /// The cache has no space for the image.
    Bypass,
}

/// Reason for which an image is removed from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Other images need the space.
    Room,
    /// The image was deleted, or an operator removed it.
    Deleted,
    /// The cached file is damaged.
    Damaged,
}

/// Result of a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillResult {
    /// The image is cached.
    Kept,
    /// The cache had no space.
    NoRoom,
    /// The fill completed, but the image was deleted meanwhile or the process handed over.
    Dropped,
    /// The store or the disk failed.
    Failed,
    /// An attempt had a wrong checksum.
    Wrong,
}

/// A fill in progress. Dropping it counts its end.
pub struct FillInFlight(());

/// Counts a cache lookup.
pub fn cache_lookup(answer: CacheLookup) {
    let result = match answer {
        CacheLookup::Hit => "hit",
        CacheLookup::Miss => "miss",
        CacheLookup::Coalesced => "coalesced",
        CacheLookup::Bypass => "bypass",
    };
    counter!(ANSWERS, "result" => result).increment(1);
}

/// Counts an image that was removed from the cache.
pub fn cache_evicted(reason: Eviction) {
    let reason = match reason {
        Eviction::Room => "room",
        Eviction::Deleted => "deleted",
        Eviction::Damaged => "damaged",
    };
    counter!(EVICTIONS, "reason" => reason).increment(1);
}

/// Counts a fill that begins.
pub fn fill_begins() -> FillInFlight {
    gauge!(FILLS_IN_FLIGHT).increment(1.0);
    FillInFlight(())
}

impl Drop for FillInFlight {
    fn drop(&mut self) {
        gauge!(FILLS_IN_FLIGHT).decrement(1.0);
    }
}

/// Counts the end of a fill, or of an attempt.
pub fn fill_ended(result: FillResult, took: Duration) {
    let result = match result {
        FillResult::Kept => {
            histogram!(FILL_DURATION).record(took);
            "kept"
        }
        FillResult::NoRoom => "no_room",
        FillResult::Dropped => "dropped",
        FillResult::Failed => "failed",
        FillResult::Wrong => "wrong",
    };
    counter!(FILLS, "result" => result).increment(1);
}

/// Counts bytes that a fill received.
pub fn cache_filled(bytes: u64) {
    counter!(FILLED_BYTES).increment(bytes);
}

/// Sets the bytes of the cache by state, and its limit.
pub fn cache_holds(kept: u64, filling: u64, leaving: u64, limit: u64) {
    for (state, bytes) in [("kept", kept), ("filling", filling), ("leaving", leaving)] {
        gauge!(BYTES, "state" => state).set(bytes as f64);
    }
    gauge!(LIMIT_BYTES).set(limit as f64);
}

/// Sets the number of cached and of queued images.
pub fn cache_images(kept: usize, queued: usize) {
    gauge!(IMAGES).set(kept as f64);
    gauge!(QUEUED).set(queued as f64);
}
