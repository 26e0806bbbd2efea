//! Options of the HTTP store.

use std::time::Duration;

use crate::http_client::{AddressFilter, TlsOptions};
use crate::image::SourceRules;

/// Options of the HTTP store.
#[derive(Debug, Clone)]
pub struct HttpStoreOptions {
    /// Longest time to establish a connection, including the TLS handshake.
    pub connect_timeout: Duration,
    /// Longest time from the end of a request to the head of its response.
    pub answer_timeout: Duration,
    /// Longest silence of a server in the middle of an object.
    pub stall_timeout: Duration,
    /// The most bytes that are read and discarded before a range of an object whose server ignores
    /// `Range`.
    pub max_discarded_bytes: u64,
    /// The most redirects to follow; 0 for none.
    pub max_redirects: u32,
    /// Which URLs a redirect may lead to.
    pub rules: SourceRules,
    /// Which addresses may be dialled. Users named the locations, perhaps under older rules, so
    /// every address is checked at each download.
    pub address_filter: AddressFilter,
    /// Which certificates to trust.
    pub tls: TlsOptions,
}
