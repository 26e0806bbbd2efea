//! Asking another process' registry, one question after the other.
//!
//! What is asked here is what is left of a process that is about to end, so order matters
//! more than speed: a thread at each end, a question, its answer.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::super::{Record, Registry, RegistryStats, Version};
use super::messages::{MessageError, read_message, write_message};
use crate::error::{Error, Kind, Result};
use crate::image::{Image, ImageId, Query, Usage};

/// When a client should try again whose process has lost the one that took over.
const RETRY_AFTER: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
enum RelayRequest {
    Get(ImageId),
    Insert(Image),
    Replace(Image, Version),
    Purge(ImageId, Version),
    List(Query),
    Usage(Option<String>),
    Check,
}

#[derive(Serialize, Deserialize)]
enum RelayResponse {
    Nothing,
    One(Box<Image>, Version),
    Many(Vec<(Image, Version)>),
    Usage(Usage),
    RegistryStats(RegistryStats),
    Refused {
        kind: Kind,
        message: String,
        cause: Option<String>,
    },
}

/// Completes when the process that asks has closed its end.
pub type RelayDone = oneshot::Receiver<()>;

/// Answers the process at the other end, on a thread of its own, until it has ended.
///
/// # Errors
/// When there is no thread for it.
pub fn serve_relay(mut socket: UnixStream, registry: Arc<dyn Registry>) -> io::Result<RelayDone> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (ended, end) = oneshot::channel::<()>();
    let answer_all = move || {
        let answered = loop {
            let question = match read_message(&mut socket) {
                Ok(question) => question,
                Err(error) => break error,
            };
            let answer = runtime.block_on(answer(&*registry, question));
            if let Err(error) = write_message(&mut socket, &answer) {
                break error;
            }
        };
        if !matches!(answered, MessageError::Gone(_)) {
            tracing::error!(error = %answered, "the process before cannot be answered");
        }
        drop(ended);
    };
    let thread = std::thread::Builder::new().name("registry-serve_relay".to_owned());
    thread.spawn(answer_all)?;
    Ok(end)
}

async fn answer(registry: &dyn Registry, question: RelayRequest) -> RelayResponse {
    let answered = match question {
        RelayRequest::Get(id) => registry.get(&id).await.map(RelayResponse::of),
        RelayRequest::Insert(image) => registry
            .insert(image)
            .await
            .map(Some)
            .map(RelayResponse::of),
        RelayRequest::Replace(image, seen) => {
            let replaced = registry.replace(image, seen).await;
            replaced.map(Some).map(RelayResponse::of)
        }
        RelayRequest::Purge(id, seen) => registry
            .purge(&id, seen)
            .await
            .map(|()| RelayResponse::Nothing),
        RelayRequest::List(query) => registry.list(&query).await.map(|records| {
            let sent = |record: Arc<Record>| (record.image.clone(), record.version);
            RelayResponse::Many(records.into_iter().map(sent).collect())
        }),
        RelayRequest::Usage(owner) => registry
            .usage(owner.as_deref())
            .await
            .map(RelayResponse::Usage),
        RelayRequest::Check => registry.check().await.map(RelayResponse::RegistryStats),
    };
    answered.unwrap_or_else(|error| RelayResponse::Refused {
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
}

type Asked = (RelayRequest, oneshot::Sender<RelayResponse>);

/// The registry of the process at the other end.
pub(super) struct RelayClient {
    questions: Sender<Asked>,
}

impl RelayClient {
    pub(super) fn start(socket: UnixStream) -> io::Result<Self> {
        let (questions, asked) = channel();
        let thread = std::thread::Builder::new().name("registry-serve_relay".to_owned());
        thread.spawn(move || ask_all(socket, &asked))?;
        Ok(Self { questions })
    }

    async fn ask(&self, question: RelayRequest) -> Result<RelayResponse> {
        let (answer, answered) = oneshot::channel();
        let sent = self.questions.send((question, answer));
        sent.map_err(|_| gone("it does not answer any more"))?;
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
            Ok(answer) => Ok(answer),
            Err(_) => Err(gone("it ended while it was asked")),
        }
    }
}

/// Ends with the first question that gets no answer: what was not answered may have been
/// done, and nobody can tell which answer belongs to which question any more.
fn ask_all(mut socket: UnixStream, asked: &Receiver<Asked>) {
    while let Ok((question, answer)) = asked.recv() {
        let written = write_message(&mut socket, &question);
        match written.and_then(|()| read_message(&mut socket)) {
            // Whoever stopped waiting does not need it.
            Ok(answered) => drop(answer.send(answered)),
            Err(error) => {
                tracing::error!(%error, "the process that took the registry over cannot be asked");
                return;
            }
        }
    }
}

fn gone(why: &'static str) -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, "The registry cannot be asked.")
        .because(format!("the process that took it over: {why}"))
}

fn odd() -> Error {
    Error::internal("the process that took the registry over answered something else")
}

fn one(answer: RelayResponse) -> Result<Arc<Record>> {
    match answer {
        RelayResponse::One(image, version) => Ok(Arc::new(Record::new(*image, version))),
        _ => Err(odd()),
    }
}

#[async_trait]
impl Registry for RelayClient {
    async fn get(&self, id: &ImageId) -> Result<Option<Arc<Record>>> {
        match self.ask(RelayRequest::Get(*id)).await? {
            RelayResponse::Nothing => Ok(None),
            answer => one(answer).map(Some),
        }
    }

    async fn insert(&self, image: Image) -> Result<Arc<Record>> {
        one(self.ask(RelayRequest::Insert(image)).await?)
    }

    async fn replace(&self, image: Image, seen: Version) -> Result<Arc<Record>> {
        one(self.ask(RelayRequest::Replace(image, seen)).await?)
    }

    async fn purge(&self, id: &ImageId, seen: Version) -> Result<()> {
        self.ask(RelayRequest::Purge(*id, seen)).await.map(drop)
    }

    async fn list(&self, query: &Query) -> Result<Vec<Arc<Record>>> {
        match self.ask(RelayRequest::List(query.clone())).await? {
            RelayResponse::Many(images) => {
                let record = |(image, version)| Arc::new(Record::new(image, version));
                Ok(images.into_iter().map(record).collect())
            }
            _ => Err(odd()),
        }
    }

    async fn usage(&self, owner: Option<&str>) -> Result<Usage> {
        match self
            .ask(RelayRequest::Usage(owner.map(str::to_owned)))
            .await?
        {
            RelayResponse::Usage(usage) => Ok(usage),
            _ => Err(odd()),
        }
    }

    async fn check(&self) -> Result<RegistryStats> {
        match self.ask(RelayRequest::Check).await? {
            RelayResponse::RegistryStats(census) => Ok(census),
            _ => Err(odd()),
        }
    }
}
