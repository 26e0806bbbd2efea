//! The Prometheus metrics of the server: their table, and one function per event that counts.
//!
//! Labels come from closed sets only: routes, methods, status classes, stores, workers. An image,
//! a tenant or a path as a label would let clients exhaust the memory with one series each.

mod audit;
mod cache;
mod handles;
mod names;
mod pipes;
mod process;
mod registry;
mod table;
mod transfers;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{
    Counter, Gauge, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use self::names::{
    BUILD_INFO, CHECKSUM_MISMATCH, CONNECTIONS, IMAGE_BYTES, IMAGES, INTEGRITY_FAILURES,
    IO_BACKEND, LAST_SCRUB, QUOTA_REJECTIONS, SCRUBBED, STORE_DURATION, TOKEN_VALIDATION,
    UPLOAD_FAILURES,
};
use self::table::{Metric, Shape, TABLE};
use self::transfers::{ActiveTransfer, TransferInfo};
use crate::error::Kind;
use crate::image::ImageId;

pub use self::audit::{
    VerifiedCopy, count_verification, count_verified_bytes, set_damaged_images,
    verification_finished,
};
pub use self::cache::{
    CacheLookup, Eviction, FillInFlight, FillResult, cache_evicted, cache_filled, cache_holds,
    cache_images, cache_lookup, fill_begins, fill_ended,
};
pub use self::pipes::{pipe_pages, pipe_pages_limit};
pub use self::registry::{
    registry_age, registry_behind, registry_refuses, registry_request, registry_restored,
    registry_unreadable,
};
pub use self::transfers::{
    Direction, Throughput, TransferProgress, TransferView, throughput, transfers,
};

/// Returns all metrics.
fn table() -> impl Iterator<Item = &'static Metric> {
    let tables = [
        TABLE,
        audit::TABLE,
        cache::TABLE,
        pipes::TABLE,
        registry::TABLE,
    ];
    tables.into_iter().flatten()
}

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the recorder of the process. Without it, metrics are discarded at almost no cost.
///
/// # Errors
/// If a recorder is already installed.
pub fn install() -> Result<(), BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in table() {
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
    } in table()
    {
        match shape {
            Shape::Counter => describe_counter!(*name, *unit, *help),
            Shape::Gauge => describe_gauge!(*name, *unit, *help),
            Shape::Histogram(_) => describe_histogram!(*name, *unit, *help),
        }
    }
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // Cannot fail: installing a second recorder fails above.
    let _ = HANDLE.set(handle);
    Ok(())
}

/// Returns the metrics in the Prometheus text format, with the current `process_*` metrics.
pub fn render() -> String {
    let handle = HANDLE.get();
    let mut text = handle.map(PrometheusHandle::render).unwrap_or_default();
    if let Some(usage) = process::read() {
        usage.render(&mut text);
    }
    text
}

/// Takes samples of the throughput and compacts the histograms. Must be called every few seconds:
/// without it, histograms grow as long as Prometheus does not scrape.
pub fn upkeep() {
    transfers::sample();
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// A request in flight, from its head to the last byte of its response.
pub struct RequestInFlight(());

/// Counts a request that has begun.
pub fn request_begins() -> RequestInFlight {
    handles::requests_in_flight(|gauge| gauge.increment(1.0));
    RequestInFlight(())
}

impl RequestInFlight {
    /// Counts the response, sent completely or not.
    pub fn ends(self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        handles::request(route, method, status, took);
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        handles::requests_in_flight(|gauge| gauge.decrement(1.0));
    }
}

/// Counts a request that the fast path answered.
pub fn fast_request(route: &'static str, method: &'static str, status: u16, took: Duration) {
    handles::request(route, method, status, took);
}

/// The connections of one worker.
pub struct WorkerConnections(Gauge);

impl WorkerConnections {
    /// Returns the gauge of the worker with this number, from 0.
    pub fn of(worker: usize) -> Self {
        Self(gauge!(CONNECTIONS, "worker" => worker.to_string()))
    }

    /// Counts a new connection.
    pub fn opens(&self) -> OpenConnection {
        self.0.increment(1.0);
        OpenConnection(self.0.clone())
    }
}

/// One client connection. Dropping it counts its end.
pub struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A transfer of image data in progress. Dropping it counts its end.
pub struct Transfer {
    direction: Direction,
    store: &'static str,
    bytes: Counter,
    listed: ActiveTransfer,
}

/// Counts a transfer that begins; `total_bytes` is its length if that is known.
pub fn transfer_begins(
    direction: Direction,
    store: &'static str,
    image: ImageId,
    total_bytes: Option<u64>,
) -> Transfer {
    handles::transfers_in_flight(direction, |gauge| gauge.increment(1.0));
    let listed = ActiveTransfer::begin(TransferInfo {
        direction,
        store,
        image,
        total_bytes,
    });
    Transfer {
        direction,
        store,
        bytes: handles::transfer_bytes(direction, store, "store"),
        listed,
    }
}

impl Transfer {
    /// Counts the bytes as served from the cache.
    pub fn from_cache(mut self) -> Self {
        self.bytes = handles::transfer_bytes(self.direction, self.store, "cache");
        self
    }

    /// Returns the counter for bytes that are moved.
    pub fn progress(&self) -> Arc<TransferProgress> {
        Arc::clone(self.listed.progress())
    }

    /// Counts the total at the end of the transfer, including bytes that the progress counter has
    /// not counted.
    pub fn moved_in_all(&self, bytes: u64) {
        let progress = self.listed.progress();
        progress.add(bytes.saturating_sub(progress.moved_bytes()));
        self.bytes.increment(bytes);
    }

    /// Counts bytes that were moved.
    pub fn moved(&self, bytes: u64) {
        self.listed.progress().add(bytes);
        self.bytes.increment(bytes);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        handles::transfers_in_flight(self.direction, |gauge| gauge.decrement(1.0));
    }
}

/// Records the time until the first byte of a download was available.
pub fn first_byte(took: Duration) {
    handles::first_byte(took);
}

/// Records an operation of a store.
pub fn store_operation(store: &'static str, operation: &'static str, ok: bool, took: Duration) {
    let result = if ok { "ok" } else { "error" };
    histogram!(STORE_DURATION, "store" => store, "op" => operation, "result" => result)
        .record(took);
}

/// Counts an upload that failed.
pub fn upload_failed(kind: Kind) {
    let reason = match kind {
        Kind::Invalid => "mismatch",
        Kind::Timeout => "timeout",
        Kind::Disconnected => "disconnected",
        Kind::DeletedMeanwhile => "deleted",
        Kind::TooLarge => "too_large",
        Kind::StoreReadOnly | Kind::WholeOnly | Kind::Unavailable { .. } => "store",
        _ => "internal",
    };
    counter!(UPLOAD_FAILURES, "reason" => reason).increment(1);
}

/// Counts data whose MD5 was not the expected one.
pub fn checksum_mismatch() {
    counter!(CHECKSUM_MISMATCH).increment(1);
}

/// Counts a download that was aborted because its data did not match the image's record.
pub fn integrity_failure() {
    counter!(INTEGRITY_FAILURES).increment(1);
}

/// Counts a request that exceeded a size limit or a quota.
pub fn quota_rejection() {
    counter!(QUOTA_REJECTIONS).increment(1);
}

/// Result of checking a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCheck {
    /// The token is valid.
    Valid,
    /// The token is invalid or expired.
    Refused,
    /// The identity service did not answer.
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

/// Counts a request with a token.
pub fn token_checked(result: TokenCheck) {
    handles::token_check(result.as_str());
}

/// Records a validation of a token by the identity service.
pub fn token_validated(result: TokenCheck, took: Duration) {
    histogram!(TOKEN_VALIDATION, "result" => result.as_str()).record(took);
}

/// Sets the number of images with a status.
pub fn images(status: &'static str, count: usize) {
    gauge!(IMAGES, "status" => status).set(count as f64);
}

/// Records a pass of the scrubber.
pub fn scrubbed(removed: usize, failed: usize) {
    counter!(SCRUBBED, "result" => "removed").increment(removed as u64);
    counter!(SCRUBBED, "result" => "failed").increment(failed as u64);
    gauge!(LAST_SCRUB).set(crate::clock::since_epoch().as_secs_f64());
}

/// Sets the bytes of images, and the bytes that are being removed.
pub fn image_bytes(kept: u64, leaving: u64) {
    gauge!(IMAGE_BYTES, "state" => "kept").set(kept as f64);
    gauge!(IMAGE_BYTES, "state" => "leaving").set(leaving as f64);
}

/// Sets the I/O engine in use.
pub fn io_backend(kind: &'static str) {
    gauge!(IO_BACKEND, "kind" => kind).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        for metric in table() {
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
