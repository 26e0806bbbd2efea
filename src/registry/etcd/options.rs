//! What an operator says about etcd.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::image::OwnerLimits;

/// Which cluster, and what may be asked of it.
#[derive(Debug, Clone)]
pub struct EtcdOptions {
    /// Addresses of the members.
    pub endpoints: Vec<String>,
    /// What every key begins with; ends in a slash.
    pub prefix: String,
    /// Empty where etcd asks nobody.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// How it is known that it is etcd.
    pub tls: EtcdTls,
    /// Longest time for one question, every attempt included.
    pub timeout: Duration,
    /// How old what is read may be; `None` for ever.
    pub read_limit: Option<Duration>,
    /// What the images of one owner may take up.
    pub owner_limits: OwnerLimits,
}

/// Files in PEM for endpoints that begin with `https`.
#[derive(Debug, Clone, Default)]
pub struct EtcdTls {
    /// Who is trusted; without it those whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Who we are.
    pub cert_file: Option<PathBuf>,
    /// The key of that.
    pub key_file: Option<PathBuf>,
}

/// Why the registry in etcd cannot be started.
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
