//! The table of the metrics of requests, transfers, stores and images. The other files of this
//! folder have tables of their own.

use metrics::Unit;

use super::names::{
    BUILD_INFO, CHECKSUM_MISMATCH, CONNECTIONS, FIRST_BYTE, IMAGE_BYTES, IMAGES,
    INTEGRITY_FAILURES, IO_BACKEND, LAST_SCRUB, QUOTA_REJECTIONS, REQUEST_DURATION, REQUESTS,
    REQUESTS_IN_FLIGHT, SCRUBBED, STORE_DURATION, TOKEN_CHECKS, TOKEN_VALIDATION, TRANSFER_BYTES,
    TRANSFERS_IN_FLIGHT, UPLOAD_FAILURES,
};

/// The type of a metric.
pub(super) enum Shape {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
}

/// Upper bounds of buckets in seconds: from a list in memory to a download of minutes.
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
        help: "Time from a request's head to the last byte of its response.",
    },
    Metric {
        name: REQUESTS_IN_FLIGHT,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Requests in flight.",
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
        help: "Image data transfers in progress, by direction.",
    },
    Metric {
        name: FIRST_BYTE,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time until the first byte of a download is available.",
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
        help: "Uploads whose data did not have the expected MD5.",
    },
    Metric {
        name: INTEGRITY_FAILURES,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Downloads that were aborted because the store's data did not have the MD5 of the record.",
    },
    Metric {
        name: QUOTA_REJECTIONS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Requests that exceeded a size limit or a quota.",
    },
    Metric {
        name: TOKEN_CHECKS,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Requests with a token, by result: valid, refused, unavailable.",
    },
    Metric {
        name: TOKEN_VALIDATION,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time of token validations by the identity service, by result.",
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
        help: "Bytes that count against quotas, by state: kept (uploads in progress included), leaving (being removed).",
    },
    Metric {
        name: SCRUBBED,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Images that the scrubber processed, by result: removed, failed (will be retried).",
    },
    Metric {
        name: LAST_SCRUB,
        shape: Shape::Gauge,
        unit: Unit::Seconds,
        help: "Time since the epoch at which the scrubber's last pass ended.",
    },
    Metric {
        name: IO_BACKEND,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "1 for the I/O engine in use.",
    },
    Metric {
        name: BUILD_INFO,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "1, with the version as label.",
    },
];
