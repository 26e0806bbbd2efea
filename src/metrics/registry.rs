//! Metrics of the registry drivers.

use std::time::Duration;

use metrics::{Unit, counter, gauge, histogram};

use super::names::{REGISTRY_AGE, REGISTRY_BEHIND, REGISTRY_DURATION};
use super::table::{Metric, REQUEST_SECONDS, Shape};

const RESTORED: &str = "glance_registry_restored_total";
const UNREADABLE: &str = "glance_registry_unreadable_records";
const REFUSES_WRITES: &str = "glance_registry_refuses_writes";

pub(super) const TABLE: &[Metric] = &[
    Metric {
        name: REGISTRY_DURATION,
        shape: Shape::Histogram(REQUEST_SECONDS),
        unit: Unit::Seconds,
        help: "Time of requests to a remote registry, by backend, operation and result.",
    },
    Metric {
        name: REGISTRY_AGE,
        shape: Shape::Gauge,
        unit: Unit::Seconds,
        help: "Age of the local index: time since the last event or progress notification of the etcd watch.",
    },
    Metric {
        name: REGISTRY_BEHIND,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Images whose records are in the journal of the embedded registry and not yet in sled. A number that only grows means that sled cannot be written.",
    },
    Metric {
        name: RESTORED,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Times that etcd had another history than the local index, because it was restored or replaced, and all records were read again.",
    },
    Metric {
        name: UNREADABLE,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Records in etcd that this release cannot read; their images are not served.",
    },
    Metric {
        name: REFUSES_WRITES,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "1 while etcd refuses every write, because its space is used up or this server may not write.",
    },
];

/// Records a request to a remote registry.
pub fn registry_request(
    backend: &'static str,
    operation: &'static str,
    answered: bool,
    took: Duration,
) {
    let result = if answered { "answered" } else { "failed" };
    histogram!(REGISTRY_DURATION, "backend" => backend, "op" => operation, "result" => result)
        .record(took);
}

/// Sets the number of records that are not in sled yet.
pub fn registry_behind(images: usize) {
    gauge!(REGISTRY_BEHIND).set(images as f64);
}

/// Sets the age of the local index.
pub fn registry_age(age: Duration) {
    gauge!(REGISTRY_AGE).set(age.as_secs_f64());
}

/// Counts a restored or replaced etcd, after which all records are read again.
pub fn registry_restored() {
    counter!(RESTORED).increment(1);
}

/// Sets the number of records in etcd that this release cannot read.
pub fn registry_unreadable(records: usize) {
    gauge!(UNREADABLE).set(records as f64);
}

/// Sets whether etcd refuses every write.
pub fn registry_refuses(is_refused: bool) {
    gauge!(REFUSES_WRITES).set(f64::from(u8::from(is_refused)));
}
