//! What an operator says about a registry server.

use std::sync::Arc;
use std::time::Duration;

use crate::http_client::TlsError;
use crate::image::OwnerLimits;

/// Where the registry server is, and how long it may take.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Such as `http://registry:9191`.
    pub address: String,
    /// Longest wait for a connection, and for an answer.
    pub timeout: Duration,
    /// What the images of one owner may take up, where the server does not see to that.
    pub owner_limits: OwnerLimits,
    /// What is trusted.
    pub tls: Arc<rustls::ClientConfig>,
}

/// Why a registry server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("registry_host: {0} is no address of a server")]
    Address(String),
    #[error("registry_client_ca_file: {0}")]
    Tls(#[from] TlsError),
}
