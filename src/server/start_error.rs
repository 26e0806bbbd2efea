//! The error of every step of a server's start.

use std::io;

use crate::cache::CacheError;
use crate::config::{EXIT_CONFIG, EXIT_FAILURE};
use crate::error::Error;
use crate::http_client::TlsError;
use crate::keystone::KeystoneError;
#[cfg(feature = "etcd")]
use crate::registry::EtcdError;
use crate::registry::{MessageError, OpenError, RemoteError};
use crate::runtime::ThreadError;
use crate::server::compose::policy_files::PolicyFilesError;
use crate::store::{FileStoreError, S3StoreError, SwiftStoreError};
use crate::transfer::disk::NoUring;

/// A server cannot start. Each message names the option that is wrong or the resource that is
/// missing; the caller puts "cannot start: " before it.
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
    #[error(
        "the registry is unavailable: {0}; see registry_backend, and registry_start_timeout if it \
         starts slowly"
    )]
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
    #[error("default_store = {0}: this store does not exist or is not enabled")]
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
    Rules(#[from] PolicyFilesError),
    #[error("cannot write the operator token to registry_dir: {0}")]
    OperatorToken(#[source] io::Error),
    #[error("recovery failed: {0}")]
    Recovery(Error),
    #[error("invalid inherited file descriptor: {0}")]
    Inheritance(#[source] io::Error),
    #[error("the previous process did not hand over: {0}")]
    Predecessor(#[from] MessageError),
    #[error("cannot write the pid file: {0}")]
    PidFile(#[source] io::Error),
    #[error("the reload failed, and the registry cannot be opened again: {0}")]
    TakeBack(#[source] Box<StartError>),
    #[error("a worker did not start, see the log")]
    Worker,
    #[error("cannot start threads: {0}")]
    Threads(#[source] io::Error),
    #[error(transparent)]
    Thread(#[from] ThreadError),
    #[error("cannot install signal handlers: {0}")]
    Signals(#[source] io::Error),
    #[error("cannot use the listening socket: {0}")]
    Socket(#[source] io::Error),
    #[error("cannot determine the path of this program: {0}")]
    ProgramPath(#[source] io::Error),
    #[error(transparent)]
    Listen(#[from] crate::net::ListenError),
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

impl StartError {
    /// Returns the exit code of a process that fails with this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::Rules(_) => EXIT_CONFIG,
            #[cfg(not(feature = "etcd"))]
            StartError::NoEtcd => EXIT_CONFIG,
            _ => EXIT_FAILURE,
        }
    }
}
