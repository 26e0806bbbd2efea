//! Settings of the client of a registry server.

use std::sync::Arc;
use std::time::Duration;

use crate::http_client::TlsError;
use crate::image::OwnerLimits;

/// The address of the registry server and the limits of requests.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// The base address, such as `http://registry:9191`.
    pub address: String,
    /// Maximum time to connect, and to wait for a response.
    pub timeout: Duration,
    /// The limits of the images of one owner, for servers that do not enforce limits themselves.
    pub owner_limits: OwnerLimits,
    /// The TLS configuration with the trusted authorities.
    pub tls: Arc<rustls::ClientConfig>,
}

/// The reason why the client of a registry server cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("registry_host: {0} is not the address of a server")]
    Address(String),
    #[error("registry_client_ca_file: {0}")]
    Tls(#[from] TlsError),
}
