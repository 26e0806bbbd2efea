//! Forwards registry requests to the successor of this process, one after the other.
//!
//! Only the remaining requests of a process that is about to end use the relay, so it is simple
//! instead of fast: one thread at each end, and one request at a time.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::super::documents::{Document, DocumentKey, DocumentQuery};
use super::super::{Record, Registry, RegistryStats, Version};
use super::messages::{MessageError, read_message, write_message};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Usage};
use crate::runtime;

/// Retry delay that clients are given after the successor has ended.
const RETRY_AFTER: Duration = Duration::from_secs(5);

// The two processes may be of different releases: the names of these variants and of their fields
// are part of the protocol.
#[derive(Serialize, Deserialize)]
enum RelayRequest {
    Get(ImageId),
    Insert(Image),
    Replace(Image, Version),
    #[serde(rename = "Forget")]
    Purge(ImageId, Version),
    List(Query),
    Usage(Option<String>),
    Check,
    GetDocument(DocumentKey),
    PutDocument(Document, Version),
    DeleteDocument(DocumentKey, Version),
    ListDocuments(DocumentQuery),
}

#[derive(Serialize, Deserialize)]
enum RelayResponse {
    Nothing,
    One(Box<Image>, Version),
    Many(Vec<(Image, Version)>),
    Usage(Usage),
    #[serde(rename = "Census")]
    Stats(RegistryStats),
    Document(Box<Document>),
    Documents(Vec<Document>),
    Refused {
        kind: Kind,
        message: String,
        cause: Option<String>,
    },
}

/// Completes when the other process has closed its end of the relay.
pub type RelayDone = oneshot::Receiver<()>;

/// Serves the process at the other end, on its own thread, until that process has ended.
///
/// # Errors
/// If the system cannot create a thread.
pub fn serve_relay(mut socket: UnixStream, registry: Arc<dyn Registry>) -> io::Result<RelayDone> {
    let runtime = runtime::current_thread()?;
    let (ended, end) = oneshot::channel::<()>();
    let serve = move || {
        let error = loop {
            let request = match read_message(&mut socket) {
                Ok(request) => request,
                Err(error) => break error,
            };
            let response = runtime.block_on(respond(&*registry, request));
            if let Err(error) = write_message(&mut socket, &response) {
                break error;
            }
        };
        if !matches!(error, MessageError::Gone(_)) {
            tracing::error!(%error, "the registry relay to the previous process has failed");
        }
        drop(ended);
    };
    runtime::spawn("registry-relay", serve)?;
    Ok(end)
}

async fn respond(registry: &dyn Registry, request: RelayRequest) -> RelayResponse {
    let result = match request {
        RelayRequest::Get(id) => registry.get(&id).await.map(RelayResponse::of),
        RelayRequest::Insert(image) => {
            let inserted = registry.insert(image).await;
            inserted.map(Some).map(RelayResponse::of)
        }
        RelayRequest::Replace(image, seen) => {
            let replaced = registry.replace(image, seen).await;
            replaced.map(Some).map(RelayResponse::of)
        }
        RelayRequest::Purge(id, seen) => {
            let purged = registry.purge(&id, seen).await;
            purged.map(|()| RelayResponse::Nothing)
        }
        RelayRequest::List(query) => registry.list(&query).await.map(|records| {
            let sent = |record: Arc<Record>| (record.image.clone(), record.version);
            RelayResponse::Many(records.into_iter().map(sent).collect())
        }),
        RelayRequest::Usage(owner) => {
            let usage = registry.usage(owner.as_deref()).await;
            usage.map(RelayResponse::Usage)
        }
        RelayRequest::Check => registry.check().await.map(RelayResponse::Stats),
        RelayRequest::GetDocument(key) => {
            let document = registry.get_document(&key).await;
            document.map(RelayResponse::of_document)
        }
        RelayRequest::PutDocument(document, seen) => {
            let written = registry.put_document(document, seen).await;
            written.map(Some).map(RelayResponse::of_document)
        }
        RelayRequest::DeleteDocument(key, seen) => {
            let deleted = registry.delete_document(&key, seen).await;
            deleted.map(|()| RelayResponse::Nothing)
        }
        RelayRequest::ListDocuments(query) => {
            let documents = registry.list_documents(&query).await;
            documents.map(|documents| {
                let documents = documents.into_iter().map(Arc::unwrap_or_clone);
                RelayResponse::Documents(documents.collect())
            })
        }
    };
    result.unwrap_or_else(|error| RelayResponse::Refused {
        kind: error.kind(),
        message: error.message().to_owned(),
        cause: error.cause(),
    })
}

impl RelayResponse {
    fn of(record: Option<Arc<Record>>) -> Self {
        match record {
            Some(record) => Self::One(Box::new(record.image.clone()), record.version),
            None => Self::Nothing,
        }
    }

    fn of_document(document: Option<Arc<Document>>) -> Self {
        match document {
            Some(document) => Self::Document(Box::new(Arc::unwrap_or_clone(document))),
            None => Self::Nothing,
        }
    }
}

type Pending = (RelayRequest, oneshot::Sender<RelayResponse>);

/// The registry of the process at the other end.
pub(super) struct RelayClient {
    requests: Sender<Pending>,
}

impl RelayClient {
    pub(super) fn start(socket: UnixStream) -> io::Result<Self> {
        let (requests, pending) = channel();
        runtime::spawn("registry-relay", move || send_all(socket, &pending))?;
        Ok(Self { requests })
    }

    async fn request(&self, request: RelayRequest) -> Result<RelayResponse> {
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send((request, answer));
        sent.map_err(|_| unavailable("it does not answer any more"))?;
        match answered.await {
            Ok(RelayResponse::Refused {
                kind,
                message,
                cause,
            }) => {
                let error = Error::new(kind, message);
                Err(match cause {
                    Some(cause) => error.because(cause),
                    None => error,
                })
            }
            Ok(response) => Ok(response),
            Err(_) => Err(unavailable("it ended before it answered")),
        }
    }
}

/// Sends requests until one gets no response. The relay cannot continue then: the request may have
/// been executed, and a late response would be taken for that of the next request.
fn send_all(mut socket: UnixStream, pending: &Receiver<Pending>) {
    while let Ok((request, answer)) = pending.recv() {
        let written = write_message(&mut socket, &request);
        match written.and_then(|()| read_message(&mut socket)) {
            // Sending fails if the caller has stopped waiting; it needs no answer then.
            Ok(response) => drop(answer.send(response)),
            Err(error) => {
                tracing::error!(%error, "the registry relay to the new process has failed");
                return;
            }
        }
    }
}

fn unavailable(reason: &'static str) -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, "The registry cannot be asked.")
        .because(format!("the process that took it over: {reason}"))
}

fn unexpected() -> Error {
    Error::internal("the process that took the registry over sent a response of another kind")
}

fn record(response: RelayResponse) -> Result<Arc<Record>> {
    match response {
        RelayResponse::One(image, version) => Ok(Arc::new(Record::new(*image, version))),
        _ => Err(unexpected()),
    }
}

fn document(response: RelayResponse) -> Result<Arc<Document>> {
    match response {
        RelayResponse::Document(document) => Ok(Arc::new(*document)),
        _ => Err(unexpected()),
    }
}

#[async_trait]
impl Registry for RelayClient {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        match self.request(RelayRequest::Get(*id)).await? {
            RelayResponse::Nothing => Ok(None),
            response => record(response).map(Some),
        }
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        record(self.request(RelayRequest::Insert(image)).await?)
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        record(self.request(RelayRequest::Replace(image, seen)).await?)
    }

    async fn purge(&self, id: &ImageId, seen: Version) -> Result<()> {
        self.request(RelayRequest::Purge(*id, seen)).await.map(drop)
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        match self.request(RelayRequest::List(query.clone())).await? {
            RelayResponse::Many(images) => {
                let record = |(image, version)| Arc::new(Record::new(image, version));
                Ok(images.into_iter().map(record).collect())
            }
            _ => Err(unexpected()),
        }
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        let request = RelayRequest::Usage(owner.map(str::to_owned));
        match self.request(request).await? {
            RelayResponse::Usage(usage) => Ok(usage),
            _ => Err(unexpected()),
        }
    }

    async fn check(&self) -> Result<RegistryStats> {
        match self.request(RelayRequest::Check).await? {
            RelayResponse::Stats(stats) => Ok(stats),
            _ => Err(unexpected()),
        }
    }

    async fn get_document(&self, key: &DocumentKey) -> Result<Option<Arc<Document>>> {
        let request = RelayRequest::GetDocument(key.clone());
        match self.request(request).await? {
            RelayResponse::Nothing => Ok(None),
            response => document(response).map(Some),
        }
    }

    async fn put_document(&self, written: Document, seen: Version) -> Result<Arc<Document>> {
        let request = RelayRequest::PutDocument(written, seen);
        document(self.request(request).await?)
    }

    async fn delete_document(&self, key: &DocumentKey, seen: Version) -> Result<()> {
        let request = RelayRequest::DeleteDocument(key.clone(), seen);
        self.request(request).await.map(drop)
    }

    async fn list_documents(&self, query: &DocumentQuery) -> Result<Vec<Arc<Document>>> {
        let request = RelayRequest::ListDocuments(query.clone());
        match self.request(request).await? {
            RelayResponse::Documents(documents) => {
                Ok(documents.into_iter().map(Arc::new).collect())
            }
            _ => Err(unexpected()),
        }
    }
}
