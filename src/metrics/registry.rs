//! Metrics of the registry.

use std::time::Duration;

use metrics::{Unit, gauge, histogram};

use super::names::{REGISTRY_AGE, REGISTRY_BEHIND, REGISTRY_DURATION};
use super::table::{Metric, REQUEST_SECONDS, Shape};

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
];

/// A registry elsewhere was asked.
pub fn registry_asked(
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
