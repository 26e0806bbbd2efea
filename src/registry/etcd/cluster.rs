//! Sends requests to the members of an etcd cluster.
//!
//! All requests go to one member until it fails, and then to the next one. Reads are repeated until
//! their deadline. A transaction is sent once: after a lost answer only the caller can tell whether
//! a repetition is safe.

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

/// Maximum length of a message in either direction. Pages are far shorter; a response of a watch
/// that catches up may not be.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Maximum time for one member to answer before another one is tried.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay between two attempts, so that a cluster without a leader is not flooded with requests.
const PAUSE: Duration = Duration::from_millis(50);
/// Silence after which a member is pinged, and the time that it has to answer the ping.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(2));

/// Status codes of gRPC ("Status codes and their use in gRPC").
mod grpc {
    pub(super) const INVALID_ARGUMENT: i32 = 3;
    pub(super) const PERMISSION_DENIED: i32 = 7;
    pub(super) const RESOURCE_EXHAUSTED: i32 = 8;
}

/// A request had no answer in time, or etcd has refused it.
#[derive(Debug, thiserror::Error)]
#[error("etcd gave no answer or refused: {cause}")]
pub(super) struct EtcdRequestError {
    cause: String,
    /// True if the request has certainly changed nothing.
    pub(super) is_unsent: bool,
    /// True if etcd has refused the request for good, so that a repetition is useless.
    pub(super) is_permanent: bool,
}

/// The members of the cluster and the connections to them.
pub(super) struct Cluster {
    endpoints: Vec<String>,
    options: ConnectOptions,
    clients: RefCell<Vec<Option<Client>>>,
    current: Cell<usize>,
    /// Records failed requests.
    staleness: Arc<Staleness>,
}

impl Cluster {
    /// Returns the cluster of these options. Connects to no member yet.
    pub(super) fn new(options: &EtcdOptions, staleness: Arc<Staleness>) -> Result<Self, EtcdError> {
        let mut connect = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_keep_alive(KEEP_ALIVE.0, KEEP_ALIVE.1)
            // A watch may be idle for long. Without pings, a member that vanished without closing
            // the connection would not be detected.
            .with_keep_alive_while_idle(true)
            .with_auto_token_refresh(true)
            // A member that is cut off from the leader must refuse to watch, not stay silent.
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
            // Servers that start together start with different members.
            current: Cell::new(std::process::id() as usize % options.endpoints.len().max(1)),
        })
    }

    /// Reads keys. Tries one member after the other until one answers or the deadline has passed.
    pub(super) async fn get(
        &self,
        key: &[u8],
        options: &GetOptions,
        deadline: Instant,
    ) -> Result<GetResponse, EtcdRequestError> {
        let ask = async |mut client: KvClient| client.get(key, Some(options.clone())).await;
        self.until(deadline, ask).await
    }

    /// Executes a transaction. Sent to one member once; the error says whether it may have been
    /// executed.
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

    /// Starts a watch.
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

    /// Sends the next requests to another member.
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

    /// Returns the connection to the current member, and the position of the member.
    async fn client(&self, deadline: Instant) -> Result<(usize, Client), EtcdRequestError> {
        loop {
            let position = self.current.get();
            if let Some(Some(client)) = self.clients.borrow().get(position) {
                return Ok((position, client.clone()));
            }
            let limit = deadline.min(Instant::now() + ATTEMPT_TIMEOUT);
            let endpoint = std::slice::from_ref(&self.endpoints[position]);
            // Also authenticates if a user is configured.
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

    /// Records a failure and switches to another member. Returns the cause with the address.
    fn mark_failed(&self, position: usize, cause: String) -> String {
        self.switch_from(position);
        let cause = format!("{}: {cause}", self.endpoints[position]);
        self.staleness.record_failure(&cause);
        cause
    }

    /// Switches to another member unless a concurrent request has already done so.
    fn switch_from(&self, position: usize) {
        if self.current.get() == position {
            self.current.set((position + 1) % self.endpoints.len());
        }
    }
}

/// Returns true if etcd refuses a request for good, by the codes and messages of its
/// `api/v3rpc/rpctypes`. `ResourceExhausted` also means a short overload, and `InvalidArgument` an
/// outdated revision of its users, which a repetition updates.
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
