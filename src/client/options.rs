//! Settings of a client's connections: timeouts, TLS and proxies. [`Client::with_options`] and
//! [`Client::log_in`] take them; both the Image service and Keystone are reached with them.
//!
//! [`Client::with_options`]: super::Client::with_options
//! [`Client::log_in`]: super::Client::log_in

use std::time::Duration;

use super::error::{ClientError, Result};
use crate::http_client::{
    AddressPolicy, ClientCertificate, HttpClient, HttpClientOptions, Proxies, TlsOptions,
    client_config_with_certificate, config_without_tls,
};

/// Default of [`ConnectOptions::connect_timeout`].
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Default of [`ConnectOptions::progress_timeout`].
pub const DEFAULT_PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for `100 Continue` before the data of an upload are sent without it. It is short,
/// because a user waits and some servers never send it (RFC 9110, section 10.1.1).
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for which an idle connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Settings of a client's connections.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Longest time to establish a connection, including TLS.
    pub connect_timeout: Duration,
    /// Longest time without progress: no byte accepted or sent by the server.
    pub progress_timeout: Duration,
    /// Trust in the certificates of servers.
    pub tls: TlsOptions,
    /// Certificate for servers that require one of their clients.
    pub certificate: Option<ClientCertificate>,
    /// Proxies on the way to the servers.
    pub proxies: Proxies,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            progress_timeout: DEFAULT_PROGRESS_TIMEOUT,
            tls: TlsOptions::default(),
            certificate: None,
            proxies: Proxies::default(),
        }
    }
}

impl ConnectOptions {
    /// Makes the HTTP client. Without `uses_tls` it cannot connect to `https` URLs, and the
    /// system's certificates are not loaded.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if a file with certificates or a key cannot be used.
    pub(super) fn http_client(&self, uses_tls: bool) -> Result<HttpClient> {
        let tls = match uses_tls {
            true => client_config_with_certificate(&self.tls, self.certificate.as_ref()),
            false => config_without_tls(),
        };
        let client = HttpClient::new(HttpClientOptions {
            connect_timeout: self.connect_timeout,
            answer_timeout: self.progress_timeout,
            idle_timeout: IDLE_TIMEOUT,
            // The user names the server, and no other address is contacted: redirects are not
            // followed.
            address_policy: AddressPolicy::Any,
            tls: tls.map_err(|error| ClientError::Invalid(format!("Cannot use TLS: {error}.")))?,
        });
        Ok(client
            .with_proxies(self.proxies.clone())
            .with_continue_timeout(CONTINUE_TIMEOUT))
    }
}
