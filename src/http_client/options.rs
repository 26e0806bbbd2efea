//! Options of a client.

use std::sync::Arc;
use std::time::Duration;

use super::address_policy::AddressPolicy;

/// Timeouts, address policy and TLS configuration of one client.
#[derive(Debug, Clone)]
pub struct HttpClientOptions {
    /// Longest time to open a connection, for all addresses together, TLS included.
    pub connect_timeout: Duration,
    /// Longest time in which a server neither receives bytes of a request nor begins its
    /// response.
    pub answer_timeout: Duration,
    /// Longest time that an idle connection stays in the pool. Zero disables the pool.
    pub idle_timeout: Duration,
    /// The addresses that the client may connect to.
    pub address_policy: AddressPolicy,
    /// The TLS configuration, see [`client_config`](super::client_config).
    pub tls: Arc<rustls::ClientConfig>,
}
