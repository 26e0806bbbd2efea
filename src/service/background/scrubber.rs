//! The thread that scrubs, now and then and when it is asked to.

use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;

use super::scrub::Scrubbed;
use crate::error::{Error, Result};
use crate::service::Service;

/// How often it is noted which images wait.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Takes orders for rounds of scrubbing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Scrubber {
    orders: mpsc::UnboundedSender<oneshot::Sender<Result<Scrubbed>>>,
    ends: watch::Sender<bool>,
}

/// What wakes the scrubber.
pub struct ScrubberReceiver {
    orders: mpsc::UnboundedReceiver<oneshot::Sender<Result<Scrubbed>>>,
    ends: watch::Receiver<bool>,
}

/// The scrubber's thread cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("the scrubbing thread cannot be started")]
pub struct ScrubberError(#[from] io::Error);

impl Scrubber {
    /// Somebody to give orders to, and what is to be listened to.
    pub fn new() -> (Self, ScrubberReceiver) {
        let (orders, ordered) = mpsc::unbounded_channel();
        let (ends, told_to_end) = watch::channel(false);
        let wakeups = ScrubberReceiver {
            orders: ordered,
            ends: told_to_end,
        };
        (Self { orders, ends }, wakeups)
    }

    /// Has a round done, after the one that is under way, and returns what it did.
    ///
    /// # Errors
    /// Those of the registry; `Internal` while the process ends.
    pub async fn round(&self) -> Result<Scrubbed> {
        let (answer, answered) = oneshot::channel();
        let ended = || Error::internal("the scrubber has ended");
        self.orders.send(answer).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }

    /// Ends the thread at once: a backend that hangs does not hold up the end of the process.
    /// The next one finds in the registry what is not done.
    pub fn end(&self) {
        self.ends.send_replace(true);
    }
}

impl ScrubberReceiver {
    /// Starts the thread, with a round `every` so often; without that only when asked.
    ///
    /// # Errors
    /// [`ScrubberError`] when the system has no thread left.
    pub fn start(
        self,
        service: Weak<Service>,
        every: Option<Duration>,
    ) -> std::result::Result<JoinHandle<()>, ScrubberError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let keep = move || {
            let mut ends = self.ends;
            let rounds = rounds(self.orders, service, every);
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    // An error says that nobody can tell any more.
                    _ = ends.wait_for(|end| *end) => {}
                    () = rounds => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("scrubber".to_owned());
        Ok(thread.spawn(keep)?)
    }
}

async fn rounds(
    mut orders: mpsc::UnboundedReceiver<oneshot::Sender<Result<Scrubbed>>>,
    service: Weak<Service>,
    every: Option<Duration>,
) {
    loop {
        let order = tokio::select! {
            order = orders.recv() => match order {
                Some(order) => Some(order),
                None => return,
            },
            () = after(every) => None,
            () = look_at_pending(&service) => return,
        };
        let Some(service) = service.upgrade() else {
            return;
        };
        let result = Arc::clone(&service).scrub().await;
        match (order, result) {
            // Whoever stopped waiting finds the result in the log.
            (Some(order), result) => drop(order.send(result)),
            (None, Ok(_)) => {}
            (None, Err(error)) => tracing::error!(?error, "a round of scrubbing failed"),
        }
    }
}

/// Notes every few seconds which images wait, until the service is gone.
async fn look_at_pending(service: &Weak<Service>) {
    loop {
        let Some(service) = service.upgrade() else {
            return;
        };
        service.look_at_pending().await;
        drop(service);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn after(every: Option<Duration>) {
    match every {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}
