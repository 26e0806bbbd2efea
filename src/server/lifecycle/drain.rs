//! Waits until the requests in progress have ended, up to a time limit.

use std::time::Duration;

use tokio::time::{Instant, interval, sleep_until};

use crate::log;
use crate::server::serve::worker_loads::WorkerLoads;
use crate::service::ActiveUploads;

/// Interval of the log lines that report the progress of a drain.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// The result of a drain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum DrainOutcome {
    /// Every connection and every upload has ended.
    Complete,
    /// The time limit passed first. The workers still use the components of the server.
    TimedOut,
}

/// Waits until every connection and every upload has ended, at most for `limit`. Logs the
/// numbers of both while it waits.
pub(in crate::server) async fn drain(
    loads: &WorkerLoads,
    uploads: &ActiveUploads,
    limit: Duration,
) -> DrainOutcome {
    let deadline = Instant::now() + limit;
    let mut report = interval(REPORT_EVERY);
    // The first tick completes at once: an idle server ends without a report.
    report.tick().await;
    let ended = async {
        // In this order: an upload may outlive its connection, but needs one to begin.
        loads.all_ended().await;
        uploads.all_ended().await;
    };
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            () = &mut ended => return DrainOutcome::Complete,
            () = sleep_until(deadline) => {
                log_progress(loads, uploads, "drain timed out; closing the remaining connections");
                return DrainOutcome::TimedOut;
            }
            _ = report.tick() => {
                log_progress(loads, uploads, "draining: waiting for connections and uploads");
            }
        }
    }
}

fn log_progress(loads: &WorkerLoads, uploads: &ActiveUploads, message: &str) {
    let (connections, uploads) = (loads.connections(), uploads.count());
    tracing::info!(target: log::STARTUP, connections, uploads, "{message}");
}
