//! The thread that removes things, until they are gone.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::error::Result;
use crate::image::ImageId;

/// Wait after a first failure; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Removals that are under way at a time.
const MOST_AT_A_TIME: usize = 8;

/// Who knows how to remove what is left of an image.
pub trait Cleanup: Send + Sync + 'static {
    /// Removes it, and what says that there is something left.
    ///
    /// # Errors
    /// Those of the store and of the registry; trying again is right.
    fn clean(&self, id: &ImageId) -> impl Future<Output = Result<()>>;
}

/// Takes orders for images that have something to be removed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cleaner {
    orders: mpsc::UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    Clean(ImageId),
    End,
}

/// The cleaner's thread cannot be started.
#[derive(Debug, thiserror::Error)]
#[error("the housekeeping thread cannot be started")]
pub struct CleanerError(#[from] io::Error);

/// CleanupQueue that wait for somebody to carry them out.
pub struct CleanupQueue(mpsc::UnboundedReceiver<Order>);

impl Cleaner {
    /// Somebody to give orders to, and the orders.
    pub fn new() -> (Self, CleanupQueue) {
        let (orders, waiting) = mpsc::unbounded_channel();
        (Self { orders }, CleanupQueue(waiting))
    }

    /// Has what is left of an image removed. When the process ends before, the next one
    /// finds it in the registry.
    pub(in crate::service) fn clean(&self, id: ImageId) {
        // Nobody listens only while the process ends.
        let _ = self.orders.send(Order::Clean(id));
    }

    /// Ends the work at once: a backend that hangs does not hold up the end of the process.
    /// The next one finds in the registry what is not done.
    pub fn end(&self) {
        // Nobody listens when it has ended already.
        let _ = self.orders.send(Order::End);
    }
}

impl CleanupQueue {
    /// Starts the thread that carries orders out, until it is told to end.
    ///
    /// # Errors
    /// [`CleanerError`] when the system has no thread left.
    pub fn start<C: Cleanup>(
        self,
        service: Weak<C>,
    ) -> std::result::Result<JoinHandle<()>, CleanerError> {
        // With sockets: what is to be removed may be at another server.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let keep = move || LocalSet::new().block_on(&runtime, work(self.0, service));
        let thread = std::thread::Builder::new().name("cleaner".to_owned());
        Ok(thread.spawn(keep)?)
    }
}

/// What is to be done, and what is being done.
#[derive(Default)]
struct Work {
    /// CleanupQueue that wait for a free hand, first come first served.
    waiting: VecDeque<ImageId>,
    /// Several at a time, so that a backend that hangs does not hold up another.
    running: JoinSet<(ImageId, Result<()>)>,
    /// When a failed one is tried again.
    retries: HashMap<ImageId, Instant>,
    /// The wait before its last attempt.
    waits: HashMap<ImageId, Duration>,
}

async fn work<C: Cleanup>(mut orders: mpsc::UnboundedReceiver<Order>, service: Weak<C>) {
    let mut work = Work::default();
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Clean(id)) => work.waiting.push_back(id),
                Some(Order::End) | None => return,
            },
            Some(ended) = work.running.join_next() => work.ended(ended),
            () = next_due(&work.retries) => work.take_due(),
        }
        let Some(service) = service.upgrade() else {
            return;
        };
        work.start(&service);
    }
}

impl Work {
    fn start<C: Cleanup>(&mut self, service: &Arc<C>) {
        while self.running.len() < MOST_AT_A_TIME
            && let Some(id) = self.waiting.pop_front()
        {
            let service = Arc::clone(service);
            let clean = async move { (id, service.clean(&id).await) };
            self.running.spawn_local(clean);
        }
    }

    fn take_due(&mut self) {
        let now = Instant::now();
        let due = self.retries.extract_if(|_, at| *at <= now);
        self.waiting.extend(due.map(|(id, _)| id));
    }

    fn ended(&mut self, ended: std::result::Result<(ImageId, Result<()>), JoinError>) {
        let (id, error) = match ended {
            Ok((id, Ok(()))) => {
                self.waits.remove(&id);
                return;
            }
            Ok((id, Err(error))) => (id, error),
            Err(error) => {
                tracing::error!(%error, "a removal broke down; the next start tries again");
                return;
            }
        };
        let wait = self.waits.get(&id).map_or(FIRST_RETRY, |wait| *wait * 2);
        let wait = wait.min(LAST_RETRY);
        tracing::error!(
            image_id = %id,
            ?error,
            retry_after_s = wait.as_secs(),
            "what is left of an image could not be removed"
        );
        self.waits.insert(id, wait);
        self.retries.insert(id, Instant::now() + wait);
    }
}

/// Returns when the first of these is due.
async fn next_due(retries: &HashMap<ImageId, Instant>) {
    match retries.values().min() {
        Some(at) => sleep_until(*at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::sync::Mutex;

    /// Fails the first time it is asked for `fails`, and hangs on everything in `hangs`.
    struct Backend {
        hangs: Vec<ImageId>,
        fails: ImageId,
        asked: Mutex<Vec<ImageId>>,
    }

    impl Cleanup for Backend {
        async fn clean(&self, id: &ImageId) -> Result<()> {
            let asked_before = {
                let mut asked = self.asked.lock().unwrap();
                asked.push(*id);
                asked.iter().filter(|asked| *asked == id).count() > 1
            };
            if self.hangs.contains(id) {
                std::future::pending::<()>().await;
            }
            if *id == self.fails && !asked_before {
                return Err(Error::internal("not now"));
            }
            Ok(())
        }
    }

    #[test]
    fn what_hangs_holds_up_neither_others_nor_the_end() {
        let backend = Arc::new(Backend {
            hangs: (1..MOST_AT_A_TIME).map(|_| ImageId::random()).collect(),
            fails: ImageId::random(),
            asked: Mutex::default(),
        });
        let (cleaner, orders) = Cleaner::new();
        let thread = orders.start(Arc::downgrade(&backend)).unwrap();
        backend.hangs.iter().for_each(|id| cleaner.clean(*id));
        let last = ImageId::random();
        cleaner.clean(backend.fails);
        cleaner.clean(last);
        let times = |id: &ImageId| {
            let asked = backend.asked.lock().unwrap();
            asked.iter().filter(|asked| *asked == id).count()
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while times(&last) < 1 || times(&backend.fails) < 2 {
            assert!(Instant::now() < deadline, "{:?}", backend.asked);
            std::thread::sleep(Duration::from_millis(10));
        }
        cleaner.end();
        thread.join().unwrap();
        assert_eq!(Arc::strong_count(&backend), 1);
    }
}
