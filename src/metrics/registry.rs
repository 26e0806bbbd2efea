//! Metrics of the registry.

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
        help: "Time of a registry elsewhere to answer, by backend, operation and result.",
    },
    Metric {
        name: REGISTRY_AGE,
        shape: Shape::Gauge,
        unit: Unit::Seconds,
        help: "Time since etcd was last heard of by what keeps the list of images up to date.",
    },
    Metric {
        name: REGISTRY_BEHIND,
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Images whose records are in the journal of the embedded registry and not in sled yet. A number that only grows means that sled cannot be written.",
    },
    Metric {
        name: RESTORED,
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Times that etcd had another history than the known records, because it was restored or replaced, and all records were read again.",
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

/// A registry elsewhere was asked.
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

/// How many records sled does not have yet.
pub fn registry_behind(images: usize) {
    gauge!(REGISTRY_BEHIND).set(images as f64);
}

/// How old the list of images is.
pub fn registry_age(age: Duration) {
    gauge!(REGISTRY_AGE).set(age.as_secs_f64());
}

/// etcd was restored from a backup or replaced, and all records are read again.
pub fn registry_restored() {
    counter!(RESTORED).increment(1);
}

/// How many records in etcd this release cannot read.
pub fn registry_unreadable(records: usize) {
    gauge!(UNREADABLE).set(records as f64);
}

/// Whether etcd refuses every write.
pub fn registry_refuses(is_refused: bool) {
    gauge!(REFUSES_WRITES).set(f64::from(u8::from(is_refused)));
}
