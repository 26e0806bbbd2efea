//! Metrics of a registry that is somewhere else.

use std::time::Duration;

use metrics::{Unit, gauge, histogram};

use super::names::{REGISTRY_AGE, REGISTRY_DURATION};
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

/// How old the list of images is.
pub fn registry_age(age: Duration) {
    gauge!(REGISTRY_AGE).set(age.as_secs_f64());
}
