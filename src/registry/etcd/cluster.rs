//! The members of the cluster, one of which is spoken to until it fails.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, GetOptions, GetResponse, Identity, KvClient,
    TlsOptions, Txn, TxnResponse, WatchOptions, WatchStream,
};
use tokio::time::{Instant, sleep, timeout};

use super::age::Age;
use super::options::{EtcdError, EtcdOptions};

/// Longest message either way. Pages are far shorter; a watch that catches up may not be.
const MOST_MESSAGE_BYTES: usize = 256 << 20;

/// How long one member may take to answer before another one is asked.
const ATTEMPT: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);
/// Between two attempts, so that a cluster without a leader is not stormed.
const PAUSE: Duration = Duration::from_millis(50);
/// A member that is silent for so long is asked whether it is there, and given up so much later.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(2));

/// Codes of gRPC ("Status codes and their use in gRPC").
mod grpc {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
}

/// A request to etcd had no answer in its time, or a refusal.
#[derive(Debug, thiserror::Error)]
#[error("etcd gave no answer or refused: {cause}")]
pub(super) struct Away {
    cause: String,
    /// Whether it certainly changed nothing.
    pub(super) is_unsent: bool,
    /// Whether etcd has answered that it refuses this, so that a repetition is of no use.
    pub(super) is_final: bool,
}

/// The members.
pub(super) struct Cluster {
    endpoints: Vec<String>,
    options: ConnectOptions,
    clients: RefCell<Vec<Option<Client>>>,
    current: Cell<usize>,
    /// Is told of questions without an answer.
    age: Arc<Age>,
}

impl Cluster {
    /// The cluster of these options; nobody is asked yet.
    pub(super) fn new(options: &EtcdOptions, age: Arc<Age>) -> Result<Self, EtcdError> {
        let mut connect = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1)
            .with_keep_alive_while_idle(true)
            .with_auto_token_refresh(true)
            .with_require_leader(true);
        if !options.user.is_empty() {
            connect = connect.with_user(options.user.clone(), options.password.clone());
        }
        let mut endpoints = options.endpoints.iter();
        if endpoints.any(|endpoint| endpoint.starts_with("https")) {
            connect = connect.with_tls(tls(options)?);
        }
        Ok(Self {
            clients: RefCell::new(vec![None; options.endpoints.len()]),
            endpoints: options.endpoints.clone(),
            options: connect,
            age,
            // Servers that begin together begin with different members.
            current: Cell::new(std::process::id() as usize % options.endpoints.len().max(1)),
        })
    }

    /// Asks one member after the other until one answers or the time is over. The question
    /// may arrive more than once.
    pub(super) async fn get(
        &self,
        key: &[u8],
        options: &GetOptions,
        deadline: Instant,
    ) -> Result<GetResponse, Away> {
        let ask = async |mut client: KvClient| client.get(key, Some(options.clone())).await;
        self.until(deadline, ask).await
    }

    /// Carries out a transaction, or, when that is not known, says so: it is sent to one
    /// member once.
    pub(super) async fn txn(&self, txn: Txn, deadline: Instant) -> Result<TxnResponse, Away> {
        let (place, client) = self.client(deadline).await?;
        let mut kv = client.kv_client();
        let limit = deadline.min(Instant::now() + ATTEMPT);
        match tokio::time::timeout_at(limit, kv.txn(txn)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed(place, &error)),
            Err(_) => Err(self.silent(place)),
        }
    }

    /// Begins to watch.
    pub(super) async fn watch(
        &self,
        key: &[u8],
        options: WatchOptions,
    ) -> Result<WatchStream, Away> {
        let (place, client) = self.client(Instant::now() + ATTEMPT).await?;
        let mut watch = client
            .watch_client()
            .max_decoding_message_size(MOST_MESSAGE_BYTES);
        match timeout(ATTEMPT, watch.watch(key, Some(options))).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.failed(place, &error)),
            Err(_) => Err(self.silent(place)),
        }
    }

    /// Turns to the next member.
    pub(super) fn turn(&self) {
        self.turn_from(self.current.get());
    }

    async fn until<T>(
        &self,
        deadline: Instant,
        ask: impl AsyncFn(KvClient) -> Result<T, Error>,
    ) -> Result<T, Away> {
        loop {
            let (place, client) = self.client(deadline).await?;
            let kv = client
                .kv_client()
                .max_decoding_message_size(MOST_MESSAGE_BYTES);
            let limit = deadline.min(Instant::now() + ATTEMPT);
            let away = match tokio::time::timeout_at(limit, ask(kv)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => self.failed(place, &error),
                Err(_) => self.silent(place),
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(away);
            }
            sleep(PAUSE).await;
        }
    }

    /// A member that can be asked, and its place.
    async fn client(&self, deadline: Instant) -> Result<(usize, Client), Away> {
        loop {
            let place = self.current.get();
            if let Some(Some(client)) = self.clients.borrow().get(place) {
                return Ok((place, client.clone()));
            }
            let limit = deadline.min(Instant::now() + ATTEMPT);
            let endpoint = std::slice::from_ref(&self.endpoints[place]);
            // Logs in, where there is somebody to log in as.
            let connecting = Client::connect(endpoint, Some(self.options.clone()));
            let cause = match tokio::time::timeout_at(limit, connecting).await {
                Ok(Ok(client)) => {
                    self.clients.borrow_mut()[place] = Some(client);
                    continue;
                }
                Ok(Err(error)) => words_of(&error),
                Err(_) => "no answer".to_owned(),
            };
            let cause = self.passed_over(place, cause);
            if Instant::now() + PAUSE >= deadline {
                return Err(Away {
                    cause,
                    is_unsent: true,
                    is_final: false,
                });
            }
            sleep(PAUSE).await;
        }
    }

    fn failed(&self, place: usize, error: &Error) -> Away {
        let is_final = is_final(error);
        Away {
            cause: self.passed_over(place, words_of(error)),
            is_unsent: is_final,
            is_final,
        }
    }

    fn silent(&self, place: usize) -> Away {
        Away {
            cause: self.passed_over(place, "no answer".to_owned()),
            is_unsent: false,
            is_final: false,
        }
    }

    /// Somebody else is asked next. Why, with the address.
    fn passed_over(&self, place: usize, cause: String) -> String {
        self.turn_from(place);
        let cause = format!("{}: {cause}", self.endpoints[place]);
        self.age.not_heard(&cause);
        cause
    }

    /// Turns away from a member, unless somebody has done that already.
    fn turn_from(&self, place: usize) {
        if self.current.get() == place {
            self.current.set((place + 1) % self.endpoints.len());
        }
    }
}

/// Whether etcd refuses a request for good, by the codes and messages of its
/// `api/v3rpc/rpctypes`. `ResourceExhausted` also stands for a short overload, and
/// `InvalidArgument` for a revision of its users that a repetition brings up to date.
fn is_final(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else {
        return false;
    };
    let message = status.message();
    match i32::from(status.code()) {
        grpc::RESOURCE_EXHAUSTED => message.contains("database space exceeded"),
        grpc::INVALID_ARGUMENT => !message.contains("revision of auth store is old"),
        grpc::PERMISSION_DENIED => true,
        _ => false,
    }
}

/// An error with what is behind it, where the reason often is.
fn words_of(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        source = error.source();
    }
    words
}

fn tls(options: &EtcdOptions) -> Result<TlsOptions, EtcdError> {
    let read = |option, path: &std::path::PathBuf| {
        std::fs::read(path).map_err(|cause| EtcdError::File {
            option,
            path: path.clone(),
            cause,
        })
    };
    let tls = match &options.tls.ca_file {
        Some(path) => {
            TlsOptions::new().ca_certificate(Certificate::from_pem(read("etcd_ca_file", path)?))
        }
        None => TlsOptions::new().with_native_roots(),
    };
    match (&options.tls.cert_file, &options.tls.key_file) {
        (None, None) => Ok(tls),
        (Some(cert), Some(key)) => {
            let cert = read("etcd_cert_file", cert)?;
            Ok(tls.identity(Identity::from_pem(cert, read("etcd_key_file", key)?)))
        }
        _ => Err(EtcdError::HalfAnIdentity),
    }
}
