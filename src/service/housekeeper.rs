//! The thread that removes things, until they are gone.

use std::collections::HashMap;
use std::io;
use std::sync::Weak;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use crate::error::Result;
use crate::image::ImageId;

/// Wait after a first failure; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Who knows how to remove what is left of an image.
pub trait Clean: Send + Sync + 'static {
    /// Removes it, and what says that there is something left.
    ///
    /// # Errors
    /// Those of the store and of the registry; trying again is right.
    fn clean(&self, id: &ImageId) -> impl Future<Output = Result<()>>;
}

/// Takes orders for images that have something to be removed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Housekeeper {
    orders: mpsc::UnboundedSender<ImageId>,
}

/// The housekeeper's thread cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("the housekeeping thread cannot be started")]
pub struct HousekeeperError(#[from] io::Error);

/// Orders that wait for somebody to carry them out.
pub struct Orders(mpsc::UnboundedReceiver<ImageId>);

impl Housekeeper {
    /// Somebody to give orders to, and the orders.
    pub fn new() -> (Self, Orders) {
        let (orders, waiting) = mpsc::unbounded_channel();
        (Self { orders }, Orders(waiting))
    }

    /// Has what is left of an image removed. When the process ends before, the next one
    /// finds it in the registry.
    pub(super) fn clean(&self, id: ImageId) {
        // Nobody listens only while the process ends.
        let _ = self.orders.send(id);
    }
}

impl Orders {
    /// Starts the thread that carries orders out, until the service is gone.
    ///
    /// # Errors
    /// [`HousekeeperError`] when the system has no thread left.
    pub fn carry_out<C: Clean>(
        self,
        service: Weak<C>,
    ) -> std::result::Result<JoinHandle<()>, HousekeeperError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let keep = move || LocalSet::new().block_on(&runtime, work(self.0, service));
        let thread = std::thread::Builder::new().name("housekeeper".to_owned());
        Ok(thread.spawn(keep)?)
    }
}

async fn work<C: Clean>(mut orders: mpsc::UnboundedReceiver<ImageId>, service: Weak<C>) {
    let mut retries = HashMap::<ImageId, (Instant, Duration)>::new();
    loop {
        let next_retry = retries.values().map(|(at, _)| *at).min();
        let due = async {
            match next_retry {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let ordered = tokio::select! {
            order = orders.recv() => match order {
                Some(id) => vec![id],
                None => return,
            },
            () = due => Vec::new(),
        };
        let now = Instant::now();
        let due = retries.iter().filter(|(_, (at, _))| *at <= now);
        let due: Vec<ImageId> = due.map(|(id, _)| *id).collect();
        let Some(service) = service.upgrade() else {
            return;
        };
        for id in ordered.into_iter().chain(due) {
            clean(&*service, id, &mut retries).await;
        }
    }
}

async fn clean<C: Clean>(
    service: &C,
    id: ImageId,
    retries: &mut HashMap<ImageId, (Instant, Duration)>,
) {
    let Err(error) = service.clean(&id).await else {
        retries.remove(&id);
        return;
    };
    let wait = retries.get(&id).map_or(FIRST_RETRY, |(_, wait)| *wait * 2);
    let wait = wait.min(LAST_RETRY);
    tracing::error!(
        image_id = %id,
        ?error,
        retry_after_s = wait.as_secs(),
        "what is left of an image could not be removed"
    );
    retries.insert(id, (Instant::now() + wait, wait));
}
