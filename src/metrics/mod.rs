//! Every metric of the node, in one table.
//!
//! Labels come from closed sets only: routes, methods, status classes, stores, workers. An image, a
//! tenant or a path as a label would let clients fill the memory (one series each).

mod handles;
mod names;
mod process;

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics::{
    Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use self::names::{
    BUILD_INFO, CHECKSUM_MISMATCH, CONNECTIONS, FIRST_BYTE, IMAGE_BYTES, IMAGES,
    INTEGRITY_FAILURES, IO_BACKEND, LAST_SCRUB, QUOTA_REJECTIONS, REQUEST_DURATION, REQUESTS,
    REQUESTS_IN_FLIGHT, SCRUBBED, STORE_DURATION, TOKEN_CHECKS, TOKEN_VALIDATION, TRANSFER_BYTES,
    TRANSFERS_IN_FLIGHT, UPLOAD_FAILURES,
};
use crate::error::Kind;

/// What a metric is.
enum Shape {
    Counter,
    Gauge,
    /// With upper bounds of buckets.
    Histogram(&'static [f64]),
}

struct Metric {
    name: &'static str,
    shape: Shape,
    unit: Unit,
    help: &'static str,
}

/// From a list answered out of memory to a download that takes minutes.
const REQUEST_SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 30.0, 60.0, 300.0,
];

const TABLE: &[Metric] = &[
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

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Sets the recorder up, once a process. Without it metrics cost next to nothing and go
/// nowhere.
///
/// # Errors
/// When a recorder is there already.
pub fn install() -> Result<(), BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in TABLE {
        if let Shape::Histogram(buckets) = metric.shape {
            let matcher = Matcher::Full(metric.name.to_owned());
            builder = builder.set_buckets_for_metric(matcher, buckets)?;
        }
    }
    let handle = builder.install_recorder()?;
    for Metric {
        name,
        shape,
        unit,
        help,
    } in TABLE
    {
        match shape {
            Shape::Counter => describe_counter!(*name, *unit, *help),
            Shape::Gauge => describe_gauge!(*name, *unit, *help),
            Shape::Histogram(_) => describe_histogram!(*name, *unit, *help),
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // A second process-wide recorder was refused above.
    let _ = HANDLE.set(handle);
    Ok(())
}

/// The metrics as Prometheus reads them.
pub fn render() -> String {
    HANDLE
        .get()
        .map(PrometheusHandle::render)
        .unwrap_or_default()
}

/// What has to be done every few seconds, or histograms grow while nobody scrapes.
pub fn upkeep() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// One request being answered, from its head to the last byte of its answer.
pub struct RequestInFlight(());

/// A request has come in.
pub fn request_begins() -> RequestInFlight {
    handles::requests_in_flight(|gauge| gauge.increment(1.0));
    RequestInFlight(())
}

impl RequestInFlight {
    /// The answer is sent, or given up.
    pub fn ends(self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        handles::request(route, method, status, took);
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        handles::requests_in_flight(|gauge| gauge.decrement(1.0));
    }
}

/// A request was answered at once.
pub fn plain_request(route: &'static str, method: &'static str, status: u16, took: Duration) {
    handles::request(route, method, status, took);
}

/// The connections of one worker.
pub struct WorkerConnections(Gauge);

impl WorkerConnections {
    /// Those of the worker with this number, from 0.
    pub fn of(worker: usize) -> Self {
        Self(gauge!(CONNECTIONS, "worker" => worker.to_string()))
    }

    /// It has one more.
    pub fn opens(&self) -> OpenConnection {
        self.0.increment(1.0);
        OpenConnection(self.0.clone())
    }
}

/// One client connection; dropped when it ends.
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// Which way image data move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a client.
    Upload,
    /// To a client.
    Download,
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Direction::Upload => "upload",
            Direction::Download => "download",
        }
    }
}

/// A transfer of image data under way; dropped when it ends.
pub struct Transfer {
    direction: Direction,
    store: &'static str,
}

/// A transfer begins.
pub fn transfer_begins(direction: Direction, store: &'static str) -> Transfer {
    gauge!(TRANSFERS_IN_FLIGHT, "direction" => direction.as_str()).increment(1.0);
    Transfer { direction, store }
}

impl Transfer {
    /// Bytes that have moved.
    pub fn moved(&self, bytes: u64) {
        counter!(
            TRANSFER_BYTES,
            "direction" => self.direction.as_str(), "store" => self.store, "source" => "store"
        )
        .increment(bytes);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        gauge!(TRANSFERS_IN_FLIGHT, "direction" => self.direction.as_str()).decrement(1.0);
    }
}

/// A download's data are at hand.
pub fn first_byte(took: Duration) {
    histogram!(FIRST_BYTE).record(took);
}

/// A store's operation is done.
pub fn store_operation(store: &'static str, operation: &'static str, ok: bool, took: Duration) {
    let result = if ok { "ok" } else { "error" };
    histogram!(STORE_DURATION, "store" => store, "op" => operation, "result" => result)
        .record(took);
}

/// An upload did not make its image active.
pub fn upload_failed(kind: Kind) {
    let reason = match kind {
        Kind::Invalid => "mismatch",
        Kind::Timeout => "timeout",
        Kind::Disconnected => "disconnected",
        Kind::DeletedMeanwhile => "deleted",
        Kind::TooLarge => "too_large",
        Kind::StoreReadOnly | Kind::Unavailable { .. } => "store",
        _ => "internal",
    };
    counter!(UPLOAD_FAILURES, "reason" => reason).increment(1);
}

/// Data did not have the MD5 they should have.
pub fn checksum_mismatch() {
    counter!(CHECKSUM_MISMATCH).increment(1);
}

/// A download was broken off because the data were not those of the record.
pub fn integrity_failure() {
    counter!(INTEGRITY_FAILURES).increment(1);
}

/// A request passed a size or a quota.
pub fn quota_rejection() {
    counter!(QUOTA_REJECTIONS).increment(1);
}

/// What became of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCheck {
    /// It says who is asking.
    Valid,
    /// It says nothing.
    Refused,
    /// Nobody could tell.
    Unavailable,
}

impl TokenCheck {
    fn as_str(self) -> &'static str {
        match self {
            TokenCheck::Valid => "valid",
            TokenCheck::Refused => "refused",
            TokenCheck::Unavailable => "unavailable",
        }
    }
}

/// A token came with a request.
pub fn token_checked(result: TokenCheck) {
    handles::token_check(result.as_str());
}

/// The identity service was asked about a token.
pub fn token_validated(result: TokenCheck, took: Duration) {
    histogram!(TOKEN_VALIDATION, "result" => result.as_str()).record(took);
}

/// How many images have a status.
pub fn images(status: &'static str, count: usize) {
    gauge!(IMAGES, "status" => status).set(count as f64);
}

/// A round of the scrubber has ended.
pub fn scrubbed(removed: usize, failed: usize) {
    counter!(SCRUBBED, "result" => "removed").increment(removed as u64);
    counter!(SCRUBBED, "result" => "failed").increment(failed as u64);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    gauge!(LAST_SCRUB).set(since_epoch.unwrap_or_default().as_secs_f64());
}

/// How many bytes images have, and how many are being removed.
pub fn image_bytes(kept: u64, leaving: u64) {
    gauge!(IMAGE_BYTES, "state" => "kept").set(kept as f64);
    gauge!(IMAGE_BYTES, "state" => "leaving").set(leaving as f64);
}

/// Reads what the kernel counts for this process (`process_*`, as Prometheus' own clients
/// name them).
pub fn process() {
    let Some(usage) = process::read() else { return };
    gauge!("process_resident_memory_bytes").set(usage.resident_bytes as f64);
    gauge!("process_cpu_seconds_total").set(usage.cpu_seconds);
    gauge!("process_open_fds").set(usage.open_fds as f64);
    gauge!("process_max_fds").set(usage.max_fds as f64);
    gauge!("process_start_time_seconds").set(usage.start_time_seconds);
}

/// Which I/O engine runs.
pub fn io_backend(kind: &'static str) {
    gauge!(IO_BACKEND, "kind" => kind).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for metric in TABLE {
            assert!(metric.name.starts_with("glance_"), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
            let suffix = metric.name.rsplit('_').next().unwrap_or_default();
            match metric.shape {
                Shape::Counter => assert_eq!(suffix, "total", "{}", metric.name),
                Shape::Histogram(_) => assert_eq!(suffix, "seconds", "{}", metric.name),
                Shape::Gauge => assert_ne!(suffix, "total", "{}", metric.name),
            }
        }
    }
}
