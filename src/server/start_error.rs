//! Why a server cannot start.

use std::io;

use super::rules::RulesError;
use crate::cache::CacheError;
use crate::config::{EXIT_CONFIG, EXIT_FAILURE};
use crate::error::Error;
use crate::http_client::TlsError;
use crate::keystone::KeystoneError;
#[cfg(feature = "etcd")]
use crate::registry::EtcdError;
use crate::registry::{MessageError, OpenError, RemoteError};
use crate::service::{AuditorError, CleanerError, HeartbeatError, ScrubberError};
use crate::store::{FileStoreError, S3StoreError, SwiftStoreError};
use crate::transfer::disk::NoUring;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Registry(#[from] OpenError),
    #[error(transparent)]
    RemoteRegistry(#[from] RemoteError),
    #[cfg(feature = "etcd")]
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[cfg(not(feature = "etcd"))]
    #[error(
        "registry_backend = etcd, but this program was built without etcd; build it with: cargo \
         build --release --features etcd (which needs protoc, of Debian's protobuf-compiler)"
    )]
    NoEtcd,
    #[error("{0}; see registry_backend, and registry_start_timeout for one that is late")]
    RegistryAway(String),
    #[error(transparent)]
    FileStore(#[from] FileStoreError),
    #[error("the store http: {0}; see https_ca_certificates_file")]
    HttpStore(#[from] TlsError),
    #[error(transparent)]
    S3Store(#[from] S3StoreError),
    #[error(transparent)]
    SwiftStore(#[from] SwiftStoreError),
    #[error("swift_store_cacert: {0}")]
    SwiftTls(#[source] TlsError),
    #[error("default_store = {0}: there is no such store")]
    DefaultStore(String),
    #[error("io_backend = uring, but {0}; set io_backend to auto or threads, or allow io_uring")]
    NoUring(#[from] NoUring),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("[keystone_authtoken] auth_url: {0}")]
    Keystone(#[source] KeystoneError),
    #[error("[keystone_authtoken] cafile: {0}")]
    KeystoneTls(#[source] TlsError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Cleaner(#[from] CleanerError),
    #[error(transparent)]
    Scrubber(#[from] ScrubberError),
    #[error(transparent)]
    Heartbeat(#[from] HeartbeatError),
    #[error(transparent)]
    Auditor(#[from] AuditorError),
    #[error("the operator's token cannot be written to registry_dir: {0}")]
    OperatorToken(#[source] io::Error),
    #[error("the registry cannot be brought to rest: {0}")]
    Recovery(Error),
    #[error("what was handed to this process cannot be used: {0}")]
    Inheritance(#[source] io::Error),
    #[error("the server before does not hand over: {0}")]
    Predecessor(#[from] MessageError),
    #[error("the pid file cannot be written: {0}")]
    PidFile(#[source] io::Error),
    #[error("the registry was closed for a successor that failed, and cannot be opened again: {0}")]
    TakeBack(#[source] Box<StartError>),
    #[error("a worker cannot be started; the log says why")]
    Worker,
    #[error("threads cannot be started: {0}")]
    Threads(#[source] io::Error),
    #[error(transparent)]
    Listen(#[from] crate::net::ListenError),
    #[error("metrics cannot be set up: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

impl StartError {
    /// The exit code of a process that cannot start for this.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Rules(_) => EXIT_CONFIG,
            #[cfg(not(feature = "etcd"))]
            StartError::NoEtcd => EXIT_CONFIG,
            _ => EXIT_FAILURE,
        }
    }
}
