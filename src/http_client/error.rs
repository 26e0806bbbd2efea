//! Errors of requests to other servers.

use std::io;
use std::time::Duration;

use super::tls::TlsError;

/// A request to another server failed.
///
/// The text is for the log and for callers that decide about a retry; API clients receive less
/// detail. It contains no URI, because a URI may contain a secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpClientError {
    /// The request's target is not an http or https URI with a host.
    #[error("invalid address: not an http or https URI with a host")]
    Address,
    /// The host name has no address.
    #[error("cannot resolve the host name")]
    Resolve(#[source] io::Error),
    /// The host name resolves to an address that the policy forbids.
    #[error("address not allowed: the host resolves to a private or local address")]
    Forbidden,
    /// No address of the host accepted a connection.
    #[error("cannot connect to the host")]
    Connect(#[source] io::Error),
    /// The proxy refused to connect to the server.
    #[error("the proxy refused the connection with status {0}")]
    Proxy(u16),
    /// The TLS handshake failed: the certificate is not trusted, or the server speaks no TLS.
    #[error("TLS handshake failed")]
    Tls(#[source] io::Error),
    /// TLS cannot be set up in this process.
    #[error(transparent)]
    TlsSetup(#[from] TlsError),
    /// The server received the request and made no progress for this time.
    #[error("timeout: no response for {} s", .0.as_secs())]
    Silent(Duration),
    /// The server closed the connection before its response.
    #[error("connection closed before the response")]
    Closed,
    /// The response is longer than announced, or than the caller accepts.
    #[error("response too long")]
    TooMuch,
    /// The response is not valid HTTP, or the connection failed.
    #[error("HTTP exchange failed")]
    Http(#[from] hyper::Error),
    /// The connection failed in the response body.
    #[error("response body incomplete")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HttpClientError {
    /// Returns true if the request certainly did not reach the server.
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
