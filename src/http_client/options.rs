//! What an operator decides about requests to other servers.

use std::sync::Arc;
use std::time::Duration;

use super::address_policy::AddressPolicy;

/// How one client behaves.
#[derive(Debug, Clone)]
pub struct HttpClientOptions {
    /// Longest time until a connection stands, TLS included, all addresses together.
    pub connect_timeout: Duration,
    /// Longest time that a server takes nothing of a request and does not begin its answer.
    pub answer_timeout: Duration,
    /// Longest time that an unused connection is kept.
    pub idle_timeout: Duration,
    /// Which addresses may be dialled.
    pub reach: AddressPolicy,
    /// What is trusted.
    pub tls: Arc<rustls::ClientConfig>,
}
