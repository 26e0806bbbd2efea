//! The members of the cluster, one of which is spoken to until it fails.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Certificate, Client, ConnectOptions, Error, GetOptions, GetResponse, Identity, KvClient,
    TlsOptions, Txn, TxnResponse, WatchOptions, WatchStream,
};
use tokio::time::{Instant, sleep, timeout};

use super::options::{EtcdError, EtcdOptions};
use super::staleness::Staleness;
use crate::error::chain;

/// Longest message either way. Pages are far shorter; a watch that catches up may not be.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// How long one member may take to answer before another one is asked.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
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
pub(super) struct EtcdRequestError {
    cause: String,
    /// Whether it certainly changed nothing.
    pub(super) is_unsent: bool,
    /// Whether etcd has answered that it refuses this, so that a repetition is of no use.
    pub(super) is_permanent: bool,
}

/// The members.
pub(super) struct Cluster {
    endpoints: Vec<String>,
    options: ConnectOptions,
    clients: RefCell<Vec<Option<Client>>>,
    current: Cell<usize>,
    /// Is told of commands without an answer.
    staleness: Arc<Staleness>,
}

impl Cluster {
    /// The cluster of these options; nobody is asked yet.
    pub(super) fn new(options: &EtcdOptions, staleness: Arc<Staleness>) -> Result<Self, EtcdError> {
        let mut connect = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
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
            staleness,
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
    ) -> Result<GetResponse, EtcdRequestError> {
        let ask = async |mut client: KvClient| client.get(key, Some(options.clone())).await;
        self.until(deadline, ask).await
    }

    /// Carries out a transaction, or, when that is not known, says so: it is sent to one
    /// member once.
    pub(super) async fn txn(
        &self,
        txn: Txn,
        deadline: Instant,
    ) -> Result<TxnResponse, EtcdRequestError> {
        let (position, client) = self.client(deadline).await?;
        let mut kv = client.kv_client();
        let limit = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
        match tokio::time::timeout_at(limit, kv.txn(txn)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed(position, &error)),
            Err(_) => Err(self.timed_out(position)),
        }
    }

    /// Begins to watch.
    pub(super) async fn watch(
        &self,
        key: &[u8],
        options: WatchOptions,
    ) -> Result<WatchStream, EtcdRequestError> {
        let (position, client) = self.client(Instant::now() + ATTEMPT_TIMEOUT).await?;
        let mut watch = client
            .watch_client()
            .max_decoding_message_size(MAX_MESSAGE_BYTES);
        match timeout(ATTEMPT_TIMEOUT, watch.watch(key, Some(options))).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.failed(position, &error)),
            Err(_) => Err(self.timed_out(position)),
        }
    }

    /// Turns to the next member.
    pub(super) fn switch_member(&self) {
        self.switch_from(self.current.get());
    }

    async fn until<T>(
        &self,
        deadline: Instant,
        ask: impl AsyncFn(KvClient) -> Result<T, Error>,
    ) -> Result<T, EtcdRequestError> {
        loop {
            let (position, client) = self.client(deadline).await?;
            let kv = client
                .kv_client()
                .max_decoding_message_size(MAX_MESSAGE_BYTES);
            let limit = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let error = match tokio::time::timeout_at(limit, ask(kv)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => self.failed(position, &error),
                Err(_) => self.timed_out(position),
            };
            if Instant::now() + PAUSE >= deadline {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    /// A member that can be asked, and its position.
    async fn client(&self, deadline: Instant) -> Result<(usize, Client), EtcdRequestError> {
        loop {
            let position = self.current.get();
            if let Some(Some(client)) = self.clients.borrow().get(position) {
                return Ok((position, client.clone()));
            }
            let limit = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let endpoint = std::slice::from_ref(&self.endpoints[position]);
            // Logs in, where there is somebody to log in as.
            let connecting = Client::connect(endpoint, Some(self.options.clone()));
            let cause = match tokio::time::timeout_at(limit, connecting).await {
                Ok(Ok(client)) => {
                    self.clients.borrow_mut()[position] = Some(client);
                    continue;
                }
                Ok(Err(error)) => chain(&error),
                Err(_) => "no answer".to_owned(),
            };
            let cause = self.mark_failed(position, cause);
            if Instant::now() + PAUSE >= deadline {
                return Err(EtcdRequestError {
                    cause,
                    is_unsent: true,
                    is_permanent: false,
                });
            }
            sleep(PAUSE).await;
        }
    }

    fn failed(&self, position: usize, error: &Error) -> EtcdRequestError {
        let is_permanent = is_permanent(error);
        EtcdRequestError {
            cause: self.mark_failed(position, chain(error)),
            is_unsent: is_permanent,
            is_permanent,
        }
    }

    fn timed_out(&self, position: usize) -> EtcdRequestError {
        EtcdRequestError {
            cause: self.mark_failed(position, "no answer".to_owned()),
            is_unsent: false,
            is_permanent: false,
        }
    }

    /// Somebody else is asked next. Why, with the address.
    fn mark_failed(&self, position: usize, cause: String) -> String {
        self.switch_from(position);
        let cause = format!("{}: {cause}", self.endpoints[position]);
        self.staleness.record_failure(&cause);
        cause
    }

    /// Turns away from a member, unless somebody has done that already.
    fn switch_from(&self, position: usize) {
        if self.current.get() == position {
            self.current.set((position + 1) % self.endpoints.len());
        }
    }
}

/// Whether etcd refuses a request for good, by the codes and messages of its
/// `api/v3rpc/rpctypes`. `ResourceExhausted` also stands for a short overload, and
/// `InvalidArgument` for a revision of its users that a repetition brings up to date.
fn is_permanent(error: &Error) -> bool {
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
