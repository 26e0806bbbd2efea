//! The scrubber: a thread that runs scrub passes, periodically and on request.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::maintenance::Maintenance;
use super::scrub::Scrubbed;
use crate::error::{Error, Result};
use crate::runtime::{self, ThreadError};

/// Interval of the poll for images in `pending_delete`.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The handle of the scrubber. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scrubber {
    requests: mpsc::UnboundedSender<oneshot::Sender<Result<Scrubbed>>>,
    ends: watch::Sender<bool>,
}

/// The requests to the scrubber, for its thread.
pub struct ScrubberReceiver {
    requests: mpsc::UnboundedReceiver<oneshot::Sender<Result<Scrubbed>>>,
    ends: watch::Receiver<bool>,
}

impl Scrubber {
    /// Creates the handle and the receiver behind it.
    pub fn new() -> (Self, ScrubberReceiver) {
        let (requests, queue) = mpsc::unbounded_channel();
        let (ends, ended) = watch::channel(false);
        let receiver = ScrubberReceiver {
            requests: queue,
            ends: ended,
        };
        (Self { requests, ends }, receiver)
    }

    /// Runs a pass, after the one that may be running, and returns its result.
    ///
    /// # Errors
    /// Those of the registry; `Internal` if the scrubber has ended.
    pub async fn run_pass(&self) -> Result<Scrubbed> {
        let (response, result) = oneshot::channel();
        let ended = || Error::internal("the scrubber has ended");
        self.requests.send(response).map_err(|_| ended())?;
        result.await.map_err(|_| ended())?
    }

    /// Ends the thread at once, without waiting for a backend that hangs. The next process finds in
    /// the registry what is not done.
    pub fn end(&self) {
        self.ends.send_replace(true);
    }
}

impl ScrubberReceiver {
    /// Starts the thread. It runs a pass in each interval `every`; with `None`, only on request.
    ///
    /// # Errors
    /// [`ThreadError`] if the system cannot create a thread.
    pub fn start(
        self,
        service: Weak<Maintenance>,
        every: Option<Duration>,
    ) -> std::result::Result<JoinHandle<()>, ThreadError> {
        let runtime = runtime::current_thread()?;
        let run = move || {
            let mut ends = self.ends;
            let passes = run_passes(self.requests, service, every);
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    // An error means that every handle was dropped.
                    _ = ends.wait_for(|end| *end) => {}
                    () = passes => {}
                }
            });
        };
        runtime::spawn("scrubber", run)
    }
}

async fn run_passes(
    mut requests: mpsc::UnboundedReceiver<oneshot::Sender<Result<Scrubbed>>>,
    service: Weak<Maintenance>,
    every: Option<Duration>,
) {
    loop {
        let request = tokio::select! {
            request = requests.recv() => match request {
                Some(request) => Some(request),
                None => return,
            },
            () = after(every) => None,
            () = poll_pending(&service) => return,
        };
        let Some(service) = service.upgrade() else {
            return;
        };
        let result = Arc::clone(&service).scrub().await;
        match (request, result) {
            // Fails if the requester no longer waits. The log has the result.
            (Some(request), result) => drop(request.send(result)),
            (None, Ok(_)) => {}
            (None, Err(error)) => tracing::error!(?error, "scrub pass failed"),
        }
    }
}

/// Polls the images in `pending_delete` until the service is dropped.
async fn poll_pending(service: &Weak<Maintenance>) {
    loop {
        let Some(service) = service.upgrade() else {
            return;
        };
        service.poll_pending().await;
        drop(service);
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn after(every: Option<Duration>) {
    match every {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}
