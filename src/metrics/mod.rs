//! Every metric of the node, in one table.
//!
//! Labels come from closed sets only: routes, methods, status classes, stores, workers. An image, a
//! tenant or a path as a label would let clients fill the memory (one series each).

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
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// All of them.
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

/// Sets the recorder up, once a process. Without it metrics cost next to nothing and go
/// nowhere.
///
/// # Errors
/// When a recorder is there already.
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
    // A second process-wide recorder was refused above.
    let _ = HANDLE.set(handle);
    Ok(())
}

/// The metrics as Prometheus reads them, with those of the process (`process_*`), which are
/// measured now.
pub fn render() -> String {
    let handle = HANDLE.get();
    let mut text = handle.map(PrometheusHandle::render).unwrap_or_default();
    if let Some(usage) = process::read() {
        usage.render(&mut text);
    }
    text
}

/// What has to be done every few seconds, or histograms grow while nobody scrapes.
pub fn upkeep() {
    transfers::sample();
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
pub fn fast_request(route: &'static str, method: &'static str, status: u16, took: Duration) {
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

/// A transfer of image data under way; dropped when it ends.
pub struct Transfer {
    direction: Direction,
    store: &'static str,
    bytes: Counter,
    listed: ActiveTransfer,
}

/// A transfer begins, of so many bytes where that is known.
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
    /// The same, out of the cache.
    pub fn from_cache(mut self) -> Self {
        self.bytes = handles::transfer_bytes(self.direction, self.store, "cache");
        self
    }

    /// Where its bytes are counted as they move.
    pub fn progress(&self) -> Arc<TransferProgress> {
        Arc::clone(self.listed.progress())
    }

    /// All bytes have moved that will. Those that were not counted as they did are now.
    pub fn moved_in_all(&self, bytes: u64) {
        let progress = self.listed.progress();
        progress.add(bytes.saturating_sub(progress.moved_bytes()));
        self.bytes.increment(bytes);
    }

    /// Bytes that have moved.
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

/// A download's data are at hand.
pub fn first_byte(took: Duration) {
    handles::first_byte(took);
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
        Kind::StoreReadOnly | Kind::WholeOnly | Kind::Unavailable { .. } => "store",
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

/// Which I/O engine runs.
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
