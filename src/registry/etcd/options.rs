//! Settings of the registry in etcd.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::image::OwnerLimits;

/// The cluster, the credentials and the limits.
#[derive(Debug, Clone)]
pub struct EtcdOptions {
    /// Addresses of the members.
    pub endpoints: Vec<String>,
    /// Prefix of every key; ends in a slash.
    pub prefix: String,
    /// The user; empty if etcd does not authenticate clients.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// TLS files.
    pub tls: EtcdTls,
    /// Maximum time for one request, including all attempts.
    pub timeout: Duration,
    /// Maximum age of the local replica for reads while etcd cannot be reached; `None` for any age.
    pub read_limit: Option<Duration>,
    /// The limits of the images of one owner.
    pub owner_limits: OwnerLimits,
}

/// PEM files for endpoints that begin with `https`.
#[derive(Debug, Clone, Default)]
pub struct EtcdTls {
    /// The trusted authorities; `None` for those of the system.
    pub ca_file: Option<PathBuf>,
    /// The client certificate.
    pub cert_file: Option<PathBuf>,
    /// The key of the client certificate.
    pub key_file: Option<PathBuf>,
}

/// The reason why the registry in etcd cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    #[error("{option} {} cannot be read: {cause}", path.display())]
    File {
        option: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("etcd_cert_file and etcd_key_file go together: only one is set")]
    HalfAnIdentity,
    #[error("the registry's thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}
