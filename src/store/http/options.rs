//! What an operator says about the HTTP store.

use std::time::Duration;

use crate::http_client::{AddressFilter, TlsOptions};
use crate::image::SourceRules;

/// What an HTTP store needs to know.
#[derive(Debug, Clone)]
pub struct HttpStoreOptions {
    /// Longest time until a connection stands, TLS included.
    pub connect_timeout: Duration,
    /// Longest time from the end of a request to the head of its answer.
    pub answer_timeout: Duration,
    /// How long a server may be silent in the middle of an object.
    pub stall_timeout: Duration,
    /// The most bytes that are read and discarded before a part of an object whose server
    /// knows no ranges.
    pub max_discarded_bytes: u64,
    /// How often a server may send us elsewhere; zero for never.
    pub max_redirects: u32,
    /// Where redirects may lead.
    pub rules: SourceRules,
    /// Which addresses may be dialled. Locations are what users named, be it long ago.
    pub reach: AddressFilter,
    /// Whom we trust.
    pub tls: TlsOptions,
}
