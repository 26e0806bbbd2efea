//! The table of the metrics.

use metrics::Unit;

use super::names::{
    BUILD_INFO, CHECKSUM_MISMATCH, CONNECTIONS, FIRST_BYTE, IMAGE_BYTES, IMAGES,
    INTEGRITY_FAILURES, IO_BACKEND, LAST_SCRUB, QUOTA_REJECTIONS, REQUEST_DURATION, REQUESTS,
    REQUESTS_IN_FLIGHT, SCRUBBED, STORE_DURATION, TOKEN_CHECKS, TOKEN_VALIDATION, TRANSFER_BYTES,
    TRANSFERS_IN_FLIGHT, UPLOAD_FAILURES,
};

/// What a metric is.
pub(super) enum Shape {
    Counter,
    Gauge,
    /// With upper bounds of buckets.
    Histogram(&'static [f64]),
}

pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
}

/// From a list answered out of memory to a download that takes minutes.
pub(super) const REQUEST_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 300.0,
];

pub(super) const TABLE: &[Metric] = &[
    Metric {
        name: REQUESTS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Requests answered, by route, method and status class.",
    },
    Metric {
        name: REQUEST_DURATION,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time from a request's head to the last byte of its answer.",
    },
    Metric {
        name: REQUESTS_IN_FLIGHT,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Requests being answered.",
    },
    Metric {
        name: CONNECTIONS,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Open connections of clients, by worker.",
    },
    Metric {
        name: TRANSFER_BYTES,
        shape: Shape::Counter,
        unit: Unit::Bytes,
        help: "Bytes of image data moved, by direction, store and source.",
    },
    Metric {
        name: TRANSFERS_IN_FLIGHT,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Image data transfers under way, by direction.",
    },
    Metric {
        name: FIRST_BYTE,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time until a download's data are at hand.",
    },
    Metric {
        name: STORE_DURATION,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time of a store's operations, by store, operation and result.",
    },
    Metric {
        name: UPLOAD_FAILURES,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Uploads that did not make their image active, by reason.",
    },
    Metric {
        name: CHECKSUM_MISMATCH,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Data whose MD5 was not the stated one.",
    },
    Metric {
        name: INTEGRITY_FAILURES,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Downloads that were broken off because the store's data had another MD5 than the record.",
    },
    Metric {
        name: QUOTA_REJECTIONS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Requests refused for a size or a quota.",
    },
    Metric {
        name: TOKEN_CHECKS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Tokens that came with requests, by what became of them.",
    },
    Metric {
        name: TOKEN_VALIDATION,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time of the identity service to say what a token is, by result.",
    },
    Metric {
        name: IMAGES,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Images in the registry, by status.",
    },
    Metric {
        name: IMAGE_BYTES,
        shape: Shape::Gauge,
        unit: Unit::Bytes,
        help: "Bytes that count against the quotas of owners: kept, uploads under way included, and leaving.",
    },
    Metric {
        name: SCRUBBED,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Images that waited for the scrubber, by whether their data were removed or have to be tried again.",
    },
    Metric {
        name: LAST_SCRUB,
        shape: Shape::Gauge,
        unit: Unit::Seconds,
        help: "When the scrubber's last round ended, since the epoch.",
    },
    Metric {
        name: IO_BACKEND,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "1 for the I/O engine that runs.",
    },
    Metric {
        name: BUILD_INFO,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "1, with the version as label.",
    },
];
