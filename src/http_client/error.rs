//! Why another server could not be asked.

use std::io;
use std::time::Duration;

use super::tls::TlsError;

/// Another server could not be asked, or did not answer. For the log and for deciding what
/// to do: a client of ours is to be told less. Names no URI, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// Not an http or https URI with a host.
    #[error("the address is no http or https URI")]
    Address,
    /// The name has no address.
    #[error("the host's name cannot be resolved")]
    Resolve(#[source] io::Error),
    /// The name stands for an address that may not be dialled.
    #[error("the host has an address that may not be reached")]
    Forbidden,
    /// No address of the host took the connection.
    #[error("no connection to the host")]
    Connect(#[source] io::Error),
    /// The proxy refused to connect to the server.
    #[error("the proxy refused the connection with status {0}")]
    Proxy(u16),
    /// The server is not who it should be, or speaks no TLS.
    #[error("no TLS with the host")]
    Tls(#[source] io::Error),
    /// TLS cannot be set up on our side.
    #[error(transparent)]
    TlsSetup(#[from] TlsError),
    /// It took the request and said nothing.
    #[error("no answer for {} s", .0.as_secs())]
    Silent(Duration),
    /// It closed the connection before its answer.
    #[error("the connection was closed before the answer")]
    Closed,
    /// It sent more than it announced, or than anybody wants.
    #[error("the answer is too long")]
    TooMuch,
    /// What came was no HTTP, or broke off.
    #[error("the exchange failed")]
    Http(#[from] hyper::Error),
    /// What came after the head of the answer broke off.
    #[error("the answer broke off")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HttpClientError {
    /// Whether the request certainly did not reach the server.
    pub fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Address
                | Self::Resolve(_)
                | Self::Forbidden
                | Self::Connect(_)
                | Self::Proxy(_)
                | Self::Tls(_)
                | Self::TlsSetup(_)
        )
    }
}
