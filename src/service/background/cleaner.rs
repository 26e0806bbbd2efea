//! The cleaner: a thread that removes the remaining data of images, and retries until it succeeds.
//!
//! The queue lives in memory only. An entry that is lost with the process is found again in the
//! registry by the recovery of the next start.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::error::Result;
use crate::image::ImageId;
use crate::runtime::{self, ThreadError};

/// Wait after a first failure; doubled with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest wait between two attempts.
const LAST_RETRY: Duration = Duration::from_secs(300);

/// Removals that run at the same time.
const MAX_CONCURRENT: usize = 8;

/// Removes the remaining data of an image.
pub trait Cleanup: Send + Sync + 'static {
    /// Removes the remaining data from the stores, and then their mention from the record.
    ///
    /// # Errors
    /// Those of the store and of the registry. The cleaner retries.
    fn clean(&self, id: &ImageId) -> impl Future<Output = Result<()>>;
}

/// The handle of the cleaner. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cleaner {
    requests: mpsc::UnboundedSender<Request>,
}

#[derive(Debug)]
enum Request {
    Clean(ImageId),
    End,
}

/// The requests to the cleaner, for its thread.
pub struct CleanupQueue(mpsc::UnboundedReceiver<Request>);

impl Cleaner {
    /// Creates the handle and the queue behind it.
    pub fn new() -> (Self, CleanupQueue) {
        let (requests, queue) = mpsc::unbounded_channel();
        (Self { requests }, CleanupQueue(queue))
    }

    /// Queues an image for the removal of its remaining data.
    pub(in crate::service) fn clean(&self, id: ImageId) {
        // Fails only after the thread has ended. The next process then finds the image.
        let _ = self.requests.send(Request::Clean(id));
    }

    /// Ends the thread at once, without waiting for a backend that hangs. The next process finds in
    /// the registry what is not done.
    pub fn end(&self) {
        // Fails only after the thread has ended.
        let _ = self.requests.send(Request::End);
    }
}

impl CleanupQueue {
    /// Starts the thread. It ends after [`Cleaner::end`], or when `service` is dropped.
    ///
    /// # Errors
    /// [`ThreadError`] if the system cannot create a thread.
    pub fn start<C: Cleanup>(
        self,
        service: Weak<C>,
    ) -> std::result::Result<JoinHandle<()>, ThreadError> {
        // With I/O enabled, because the data may be at another server.
        let runtime = runtime::current_thread()?;
        let run = move || LocalSet::new().block_on(&runtime, work(self.0, service));
        runtime::spawn("cleaner", run)
    }
}

/// The queued, running and failed removals.
#[derive(Default)]
struct Work {
    /// Images that wait for a free slot, in the order of their requests.
    waiting: VecDeque<ImageId>,
    /// Several at the same time, so that a backend that hangs does not block another.
    running: JoinSet<(ImageId, Result<()>)>,
    /// The time of the next attempt for images that have failed.
    retries: HashMap<ImageId, Instant>,
    /// The wait before the next attempt, doubled with each failure.
    waits: HashMap<ImageId, Duration>,
}

async fn work<C: Cleanup>(mut requests: mpsc::UnboundedReceiver<Request>, service: Weak<C>) {
    let mut work = Work::default();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                Some(Request::Clean(id)) => work.waiting.push_back(id),
                Some(Request::End) | None => return,
            },
            Some(ended) = work.running.join_next() => work.ended(ended),
            () = next_due(&work.retries) => work.take_due(),
        }
        // Only running removals hold the service, so an idle cleaner does not keep it open.
        let Some(service) = service.upgrade() else {
            return;
        };
        work.start(&service);
    }
}

impl Work {
    fn start<C: Cleanup>(&mut self, service: &Arc<C>) {
        while self.running.len() < MAX_CONCURRENT
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
            // The identifier is lost with the task, so only the recovery finds the image again.
            Err(error) => {
                tracing::error!(%error, "removal of image data panicked; next start retries");
                return;
            }
        };
        let wait = self.waits.get(&id).map_or(FIRST_RETRY, |wait| *wait * 2);
        let wait = wait.min(LAST_RETRY);
        tracing::error!(
            image_id = %id,
            ?error,
            retry_after_s = wait.as_secs(),
            "cannot remove the remaining data of an image; will retry"
        );
        self.waits.insert(id, wait);
        self.retries.insert(id, Instant::now() + wait);
    }
}

/// Returns when the earliest retry is due.
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

    /// Fails the first request for `fails`, and hangs on every image in `hangs`.
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
    fn cleaner_survives_hung_backend() {
        let backend = Arc::new(Backend {
            hangs: (1..MAX_CONCURRENT).map(|_| ImageId::random()).collect(),
            fails: ImageId::random(),
            asked: Mutex::default(),
        });
        let (cleaner, queue) = Cleaner::new();
        let thread = queue.start(Arc::downgrade(&backend)).unwrap();
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
