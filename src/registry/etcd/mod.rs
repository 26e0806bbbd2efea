//! Records in etcd, for any number of servers; answers from memory.
//!
//! One thread speaks with etcd: it keeps the index up to date ([`follow`]) and carries out
//! writes ([`write`]). An image that is not in the index, or not at rest, is looked for in etcd
//! itself, so that what another server has just written is seen; where etcd is away, what is
//! known is what there is.

mod cluster;
mod keys;
mod load;
mod options;
mod replica;
mod staleness;
mod state;
mod unreadable;
mod watch;
mod write;

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, interval};

use self::cluster::Cluster;
pub use self::options::{EtcdError, EtcdOptions, EtcdTls};
use self::replica::Replica;
use self::staleness::Staleness;
use self::state::{CANNOT_WRITE, EtcdState};
use self::unreadable::UnreadableRecords;
use self::write::Write;
use super::index::{Index, Snapshot};
use super::{Record, Registry, RegistryStats, Version, unavailable};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Usage};
use crate::metrics;

/// Longest time for a question whose answer the index has too, though perhaps an older one.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a write is tried while etcd refuses every write.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// A registry in etcd.
pub struct EtcdRegistry {
    index: Arc<Index>,
    staleness: Arc<Staleness>,
    unreadable: Arc<UnreadableRecords>,
    timeout: Duration,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// What the registry's thread is asked for.
enum Command {
    Find(
        ImageId,
        Instant,
        oneshot::Sender<Result<Option<Arc<Record>>>>,
    ),
    Write(Box<Write>, Instant, oneshot::Sender<Result<Arc<Record>>>),
}

impl EtcdRegistry {
    /// Starts the thread, which begins to read the records; until it has, nothing is read.
    ///
    /// # Errors
    /// [`EtcdError`] when files cannot be read or there are no threads left.
    pub fn start(options: EtcdOptions) -> std::result::Result<Self, EtcdError> {
        let index = Arc::new(Index::new(Snapshot::of([])));
        let staleness = Arc::new(Staleness::new(options.read_limit));
        let timeout = options.timeout;
        let (commands, received) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EtcdError::Thread)?;
        // Files that cannot be read are said before the thread begins.
        Cluster::new(&options, Arc::clone(&staleness))?;
        let unreadable = Arc::<UnreadableRecords>::default();
        let parts = (
            Arc::clone(&index),
            Arc::clone(&staleness),
            Arc::clone(&unreadable),
        );
        let thread = std::thread::Builder::new()
            .name("registry".to_owned())
            .spawn(move || run(&runtime, &options, parts, received))
            .map_err(EtcdError::Thread)?;
        Ok(Self {
            index,
            staleness,
            unreadable,
            timeout,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    async fn ask<T>(
        &self,
        limit: Duration,
        question: impl FnOnce(Instant, oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let question = question(Instant::now() + limit, answer);
        let sent = self
            .commands
            .as_ref()
            .map(|commands| commands.send(question));
        let ended = || unavailable(CANNOT_WRITE, "the registry's thread has ended");
        match sent {
            Some(Ok(())) => answered.await.map_err(|_| ended())?,
            _ => Err(ended()),
        }
    }

    /// An image as it was last heard of. Of one that nobody here has heard of it is not known
    /// whether it is there.
    fn as_known(
        &self,
        known: Option<Arc<Record>>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Option<Arc<Record>>> {
        self.staleness.check()?;
        match known {
            Some(known) => Ok(Some(known)),
            None => Err(unavailable("The registry cannot be asked.", cause)),
        }
    }

    async fn write(&self, operation: &'static str, write: Write) -> Result<Arc<Record>> {
        self.staleness.check()?;
        let began = std::time::Instant::now();
        let write = Box::new(write);
        // Whoever is known to be away is not waited for.
        let limit = match self.staleness.is_unreachable() {
            true => self.timeout.min(FETCH_TIMEOUT),
            false => self.timeout,
        };
        let received = self.ask(limit, |deadline, answer| {
            Command::Write(write, deadline, answer)
        });
        let result = received.await;
        let is_answered = !result.as_ref().is_err_and(is_unreachable);
        metrics::registry_request("etcd", operation, is_answered, began.elapsed());
        result
    }
}

fn is_unreachable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unavailable { .. })
}

/// Whether an image will soon be in another status: somebody is working at it.
fn is_at_rest(image: &Image) -> bool {
    !matches!(image.status, Status::Queued | Status::Saving)
}

fn run(
    runtime: &Runtime,
    options: &EtcdOptions,
    (index, staleness, unreadable): (Arc<Index>, Arc<Staleness>, Arc<UnreadableRecords>),
    mut received: mpsc::UnboundedReceiver<Command>,
) {
    let Ok(cluster) = Cluster::new(options, Arc::clone(&staleness)) else {
        // It was tried before.
        return;
    };
    let replica = Replica::new(index, Arc::clone(&staleness), unreadable);
    let state = Rc::new(EtcdState::new(
        cluster,
        replica,
        Arc::clone(&staleness),
        options,
    ));
    let answer_all = async {
        while let Some(question) = received.recv().await {
            let state = Rc::clone(&state);
            spawn_local(async move { answer(&state, question).await });
        }
    };
    let tell_age = async {
        let mut each_second = interval(Duration::from_secs(1));
        loop {
            each_second.tick().await;
            metrics::registry_age(staleness.now().unwrap_or_default());
            metrics::registry_refuses(staleness.refusal().is_some());
        }
    };
    let probe = async {
        let mut each = interval(PROBE_INTERVAL);
        loop {
            each.tick().await;
            state.probe().await;
        }
    };
    LocalSet::new().block_on(runtime, async {
        tokio::select! {
            () = answer_all => {}
            () = watch::run(&state.cluster, &state.keys, &state.replica) => {}
            () = tell_age => {}
            () = probe => {}
        }
    });
}

async fn answer(state: &EtcdState, question: Command) {
    // Who has gone away meanwhile needs no answer.
    match question {
        Command::Find(id, deadline, answer) => {
            let _ = answer.send(state.fetch(&id, deadline).await);
        }
        Command::Write(write, deadline, answer) => {
            let _ = answer.send(state.write(*write, deadline).await);
        }
    }
}

#[async_trait]
impl Registry for EtcdRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        let known = self.index.get(id);
        let is_known = known
            .as_ref()
            .is_some_and(|record| is_at_rest(&record.image));
        if is_known || self.staleness.is_unreachable() {
            return self.as_known(known, "etcd is away");
        }
        let began = std::time::Instant::now();
        let found = self.ask(FETCH_TIMEOUT, |deadline, answer| {
            Command::Find(*id, deadline, answer)
        });
        let found = found.await;
        let is_answered = !found.as_ref().is_err_and(is_unreachable);
        metrics::registry_request("etcd", "get", is_answered, began.elapsed());
        match found {
            Err(error) if is_unreachable(&error) => self.as_known(known, error),
            found => found,
        }
    }

    fn try_get_cached(&self, id: &ImageId) -> Option<Arc<Record>> {
        let known = self.index.get(id)?;
        (is_at_rest(&known.image) && self.staleness.check().is_ok()).then_some(known)
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.write("insert", Write { image, seen: 0 }).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.write("replace", Write { image, seen }).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.staleness.check()?;
        self.index
            .list(query)
            .map_err(|_| Error::new(Kind::Invalid, "Invalid marker. Image could not be found."))
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        self.staleness.check()?;
        Ok(self.index.usage(owner))
    }

    async fn check(&self) -> Result<RegistryStats> {
        self.staleness.check()?;
        if let Some(refusal) = self.staleness.refusal() {
            return Err(unavailable(CANNOT_WRITE, refusal));
        }
        Ok(self.index.stats())
    }

    fn unreadable(&self) -> Vec<ImageId> {
        self.unreadable.ids()
    }

    fn is_current(&self) -> bool {
        !self.staleness.is_unreachable()
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl Drop for EtcdRegistry {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing left to end.
            let _ = thread.join();
        }
    }
}
