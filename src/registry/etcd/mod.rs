//! The registry in etcd, shared by any number of servers; answers from a local replica.
//!
//! One thread communicates with etcd: it keeps the replica up to date ([`watch`],
//! [`document_watch`]) and executes writes ([`mod@write`], [`documents`]). An image that is not in
//! the replica, or is still being uploaded, is read from etcd itself, so that a write of another
//! server is seen at once. While etcd cannot be reached, reads are answered from the replica.

mod cluster;
mod document_replica;
mod document_watch;
mod documents;
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
use tokio::time::{Instant, interval, timeout};

use self::cluster::Cluster;
use self::document_replica::{DocumentReplica, PublishedDocuments};
pub use self::options::{EtcdError, EtcdOptions, EtcdTls};
use self::replica::Replica;
use self::staleness::Staleness;
use self::state::EtcdState;
use self::unreadable::UnreadableRecords;
use self::write::Write;
use super::documents::{Document, DocumentKey, DocumentMap, DocumentQuery};
use super::index::{Index, Snapshot};
use super::refusals::{CANNOT_READ, CANNOT_WRITE, unavailable};
use super::{Record, Registry, RegistryStats, Version, refusals};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Status, Usage};
use crate::metrics;

/// Maximum time of a read that the replica can answer as well, though possibly with an older state.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval at which a write is tried while etcd refuses every write.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// A registry in etcd.
pub struct EtcdRegistry {
    shared: Shared,
    timeout: Duration,
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// The state that the registry's thread publishes for readers on other threads.
#[derive(Clone)]
struct Shared {
    index: Arc<Index>,
    documents: Arc<PublishedDocuments>,
    staleness: Arc<Staleness>,
    unreadable: Arc<UnreadableRecords>,
}

type Answer<T> = oneshot::Sender<Result<T>>;

/// A request for the registry's thread, with its deadline.
enum Command {
    Find(ImageId, Instant, Answer<Option<Arc<Record>>>),
    Write(Box<Write>, Instant, Answer<Arc<Record>>),
    FindDocument(DocumentKey, Instant, Answer<Option<Arc<Document>>>),
    PutDocument(Document, Version, Instant, Answer<Arc<Document>>),
    DeleteDocument(DocumentKey, Version, Instant, Answer<()>),
}

impl EtcdRegistry {
    /// Starts the thread, which reads all records. Reads are refused until it has finished.
    ///
    /// # Errors
    /// [`EtcdError`] if files cannot be read or the system cannot create a thread.
    pub fn start(options: EtcdOptions) -> std::result::Result<Self, EtcdError> {
        let shared = Shared {
            index: Arc::new(Index::new(Snapshot::of([]))),
            documents: Arc::default(),
            staleness: Arc::new(Staleness::new(options.read_limit)),
            unreadable: Arc::default(),
        };
        let timeout = options.timeout;
        let (commands, received) = mpsc::unbounded_channel();
        let runtime =
            crate::runtime::current_thread().map_err(|error| EtcdError::Thread(error.into()))?;
        // Reports unreadable files here, where the error can be returned. The cluster of the
        // thread cannot be created here because it must not move between threads.
        Cluster::new(&options, Arc::clone(&shared.staleness))?;
        let published = shared.clone();
        let thread = crate::runtime::spawn("registry", move || {
            run(&runtime, &options, &published, received)
        })
        .map_err(|error| EtcdError::Thread(error.into()))?;
        Ok(Self {
            shared,
            timeout,
            commands: Some(commands),
            thread: Some(thread),
        })
    }

    /// Sends a request to the registry's thread and waits for the answer.
    async fn execute<T>(
        &self,
        limit: Duration,
        command: impl FnOnce(Instant, Answer<T>) -> Command,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let command = command(Instant::now() + limit, answer);
        let commands = self.commands.as_ref();
        let is_sent = commands.is_some_and(|commands| commands.send(command).is_ok());
        let ended = || unavailable(CANNOT_WRITE, "the registry's thread has ended");
        if !is_sent {
            return Err(ended());
        }
        answered.await.map_err(|_| ended())?
    }

    /// As [`EtcdRegistry::execute`], and records the request in the metrics.
    async fn measured<T>(
        &self,
        operation: &'static str,
        limit: Duration,
        command: impl FnOnce(Instant, Answer<T>) -> Command,
    ) -> Result<T> {
        let began = std::time::Instant::now();
        let result = self.execute(limit, command).await;
        let is_answered = !result.as_ref().is_err_and(is_unavailable);
        metrics::registry_request("etcd", operation, is_answered, began.elapsed());
        result
    }

    /// Returns what the replica has. If it has nothing, it is unknown whether etcd has something.
    fn replica_answer<T>(
        &self,
        known: Option<T>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Option<T>> {
        self.shared.staleness.check()?;
        match known {
            Some(known) => Ok(Some(known)),
            None => Err(unavailable(CANNOT_READ, cause)),
        }
    }

    async fn write<T>(
        &self,
        operation: &'static str,
        command: impl FnOnce(Instant, Answer<T>) -> Command,
    ) -> Result<T> {
        self.shared.staleness.check()?;
        // A cluster that is already known to be unreachable gets less time.
        let limit = match self.shared.staleness.is_unreachable() {
            true => self.timeout.min(FETCH_TIMEOUT),
            false => self.timeout,
        };
        self.measured(operation, limit, command).await
    }

    async fn write_record(&self, operation: &'static str, write: Write) -> Result<Arc<Record>> {
        let write = Box::new(write);
        let command = |deadline, answer| Command::Write(write, deadline, answer);
        self.write(operation, command).await
    }

    /// Returns the local copy of the documents once it has been read.
    async fn documents(&self) -> Result<Arc<DocumentMap>> {
        let documents = &self.shared.documents;
        let mut is_loaded = documents.is_loaded.subscribe();
        let loaded = timeout(self.timeout, is_loaded.wait_for(|is_loaded| *is_loaded)).await;
        if !matches!(loaded, Ok(Ok(_))) {
            let cause = "the documents have not been read from etcd yet";
            return Err(unavailable(CANNOT_READ, cause));
        }
        self.shared.staleness.check()?;
        Ok(documents.current())
    }
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error.kind(), Kind::Unavailable { .. })
}

/// Returns true unless the status of the image is about to change because of an upload.
fn is_at_rest(image: &Image) -> bool {
    !matches!(image.status, Status::Queued | Status::Saving)
}

fn run(
    runtime: &Runtime,
    options: &EtcdOptions,
    shared: &Shared,
    mut received: mpsc::UnboundedReceiver<Command>,
) {
    let staleness = &shared.staleness;
    let Ok(cluster) = Cluster::new(options, Arc::clone(staleness)) else {
        // Cannot happen: `start` has created a cluster with the same options.
        return;
    };
    let replica = Replica::new(
        Arc::clone(&shared.index),
        Arc::clone(staleness),
        Arc::clone(&shared.unreadable),
    );
    let documents = DocumentReplica::new(Arc::clone(&shared.documents));
    let state = EtcdState::new(cluster, replica, documents, Arc::clone(staleness), options);
    let state = Rc::new(state);
    let answer_all = async {
        while let Some(command) = received.recv().await {
            let state = Rc::clone(&state);
            spawn_local(async move { answer(&state, command).await });
        }
    };
    let update_metrics = async {
        let mut each_second = interval(Duration::from_secs(1));
        loop {
            each_second.tick().await;
            metrics::registry_age(staleness.age().unwrap_or_default());
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
        // Ends with the first of them, which is `answer_all` when the registry is dropped.
        tokio::select! {
            () = answer_all => {}
            () = watch::run(&state.cluster, &state.keys, &state.replica) => {}
            () = document_watch::run(&state.cluster, &state.keys, &state.documents) => {}
            () = update_metrics => {}
            () = probe => {}
        }
    });
}

async fn answer(state: &EtcdState, command: Command) {
    // Sending fails if the caller has stopped waiting; it needs no answer then.
    match command {
        Command::Find(id, deadline, answer) => {
            let _ = answer.send(state.fetch(&id, deadline).await);
        }
        Command::Write(write, deadline, answer) => {
            let _ = answer.send(state.write(*write, deadline).await);
        }
        Command::FindDocument(key, deadline, answer) => {
            let _ = answer.send(state.fetch_document(&key, deadline).await);
        }
        Command::PutDocument(document, seen, deadline, answer) => {
            let _ = answer.send(state.put_document(document, seen, deadline).await);
        }
        Command::DeleteDocument(key, seen, deadline, answer) => {
            let _ = answer.send(state.delete_document(&key, seen, deadline).await);
        }
    }
}

#[async_trait]
impl Registry for EtcdRegistry {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        let known = self.shared.index.get(id);
        let is_known = known
            .as_ref()
            .is_some_and(|record| is_at_rest(&record.image));
        if is_known || self.shared.staleness.is_unreachable() {
            return self.replica_answer(known, "etcd cannot be reached");
        }
        let command = |deadline, answer| Command::Find(*id, deadline, answer);
        match self.measured("get", FETCH_TIMEOUT, command).await {
            Err(error) if is_unavailable(&error) => self.replica_answer(known, error),
            found => found,
        }
    }

    fn try_get_cached(&self, id: &ImageId) -> Option<Arc<Record>> {
        let known = self.shared.index.get(id)?;
        (is_at_rest(&known.image) && self.shared.staleness.check().is_ok()).then_some(known)
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        self.write_record("insert", Write { image, seen: 0 }).await
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        self.write_record("replace", Write { image, seen }).await
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        self.shared.staleness.check()?;
        let listed = self.shared.index.list(query);
        listed.map_err(refusals::unknown_marker)
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        self.shared.staleness.check()?;
        Ok(self.shared.index.usage(owner))
    }

    async fn check(&self) -> Result<RegistryStats> {
        self.shared.staleness.check()?;
        if let Some(refusal) = self.shared.staleness.refusal() {
            return Err(unavailable(CANNOT_WRITE, refusal));
        }
        Ok(self.shared.index.stats())
    }

    async fn get_document(&self, key: &DocumentKey) -> Result<Option<Arc<Document>>> {
        let known = || self.shared.documents.current().get(key).cloned();
        if self.shared.staleness.is_unreachable() {
            return self.replica_answer(known(), "etcd cannot be reached");
        }
        let command = |deadline, answer| Command::FindDocument(key.clone(), deadline, answer);
        match self.measured("get", FETCH_TIMEOUT, command).await {
            Err(error) if is_unavailable(&error) => self.replica_answer(known(), error),
            found => found,
        }
    }

    async fn put_document(&self, document: Document, seen: Version) -> Result<Arc<Document>> {
        let operation = if seen == 0 { "insert" } else { "replace" };
        let command = |deadline, answer| Command::PutDocument(document, seen, deadline, answer);
        self.write(operation, command).await
    }

    async fn delete_document(&self, key: &DocumentKey, seen: Version) -> Result<()> {
        let key = key.clone();
        let command = |deadline, answer| Command::DeleteDocument(key, seen, deadline, answer);
        self.write("replace", command).await
    }

    async fn list_documents(&self, query: &DocumentQuery) -> Result<Vec<Arc<Document>>> {
        Ok(self.documents().await?.list(query))
    }

    fn unreadable(&self) -> Vec<ImageId> {
        self.shared.unreadable.ids()
    }

    fn is_current(&self) -> bool {
        !self.shared.staleness.is_unreachable()
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl Drop for EtcdRegistry {
    fn drop(&mut self) {
        // The thread ends when its channel is closed.
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}
