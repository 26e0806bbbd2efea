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
        help: "Downloads that the cache was asked for: hit (kept), miss (began a fill), coalesced (joined one), bypass (found no room and went to the origin).",
    },
    Metric {
        name: EVICTIONS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Images that left the cache, by reason: room, deleted, damaged.",
    },
    Metric {
        name: FILLS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Fills of the cache that ended: kept, no_room, dropped (complete, but deleted meanwhile), failed; and attempts that were wrong.",
    },
    Metric {
        name: FILL_DURATION,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time of fills whose image is kept.",
    },
    Metric {
        name: FILLED_BYTES,
        shape: Shape::Counter,
        unit: Unit::Bytes,
        help: "Bytes that fills have had from origins; its rate is the fill rate.",
    },
    Metric {
        name: FILLS_IN_FLIGHT,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Fills under way.",
    },
    Metric {
        name: BYTES,
        shape: Shape::Gauge,
        unit: Unit::Bytes,
        help: "Bytes that the cache takes up: kept, filling, and leaving (removed but still read).",
    },
    Metric {
        name: LIMIT_BYTES,
        shape: Shape::Gauge,
        unit: Unit::Bytes,
        help: "The most bytes that the cache takes up.",
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

/// What the cache says to a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheLookup {
    /// It keeps the image.
    Hit,
    /// It begins to fetch it.
    Miss,
    /// It is fetching it.
    Coalesced,
    /// It has no room for it.
    Bypass,
}

/// Why an image leaves the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction {
    /// Others need the room.
    Room,
    /// It was deleted, or an operator said so.
    Deleted,
    /// Its file is not what it was.
    Damaged,
}

/// What a fill came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillResult {
    /// Its image is kept.
    Kept,
    /// There was no room.
    NoRoom,
    /// It was complete, but deleted meanwhile or left to a successor.
    Dropped,
    /// The origin or the disk failed.
    Failed,
    /// An attempt had the wrong bytes.
    Wrong,
}

/// A fill under way; dropped when it ends.
pub struct FillInFlight(());

/// The cache has answered a download.
pub fn cache_lookup(answer: CacheLookup) {
    let result = match answer {
        CacheLookup::Hit => "hit",
        CacheLookup::Miss => "miss",
        CacheLookup::Coalesced => "coalesced",
        CacheLookup::Bypass => "bypass",
    };
    counter!(ANSWERS, "result" => result).increment(1);
}

/// An image has left the cache.
pub fn cache_evicted(reason: Eviction) {
    let reason = match reason {
        Eviction::Room => "room",
        Eviction::Deleted => "deleted",
        Eviction::Damaged => "damaged",
    };
    counter!(EVICTIONS, "reason" => reason).increment(1);
}

/// A fill begins.
pub fn fill_begins() -> FillInFlight {
    gauge!(FILLS_IN_FLIGHT).increment(1.0);
    FillInFlight(())
}

impl Drop for FillInFlight {
    fn drop(&mut self) {
        gauge!(FILLS_IN_FLIGHT).decrement(1.0);
    }
}

/// A fill, or an attempt at one, has ended.
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

/// Bytes have come from an origin.
pub fn cache_filled(bytes: u64) {
    counter!(FILLED_BYTES).increment(bytes);
}

/// What the cache holds.
pub fn cache_holds(kept: u64, filling: u64, leaving: u64, limit: u64) {
    for (state, bytes) in [("kept", kept), ("filling", filling), ("leaving", leaving)] {
        gauge!(BYTES, "state" => state).set(bytes as f64);
    }
    gauge!(LIMIT_BYTES).set(limit as f64);
}

/// How many images the cache has, and how many are queued for it.
pub fn cache_images(kept: usize, queued: usize) {
    gauge!(IMAGES).set(kept as f64);
    gauge!(QUEUED).set(queued as f64);
}
