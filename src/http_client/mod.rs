//! HTTP/1.1 client for requests to other servers: object stores, web servers with images, the
//! identity service, remote registries.
//!
//! [`HttpClient::send`] and [`HttpClient::fetch`] send a request whose body is in memory, over
//! pooled connections. [`HttpClient::start_streaming`] sends a body that is pushed piece by
//! piece. [`HttpClient::open`] downloads an object: if the response comes over a plain socket and
//! has a length, it returns the socket itself, so that the kernel can splice the body to a client.
//!
//! A connection belongs to the thread that opened it, because that thread's runtime drives it.

mod address_policy;
mod bodies;
mod client;
mod connect;
mod early_response;
mod error;
mod expiring;
mod options;
mod pool;
mod progress;
mod proxy;
mod pushed_body;
mod streaming;
mod target;
mod tls;

pub use address_policy::{AddressFilter, AddressPolicy};
pub use bodies::{empty, full};
pub use client::HttpClient;
pub use error::HttpClientError;
pub use expiring::{Expiring, ExpiringCell};
pub use options::HttpClientOptions;
pub use proxy::{Proxies, ProxyError};
pub use pushed_body::{PushedBody, PushedChunk, pushed_body};
pub use streaming::{SentRequest, StreamStart, StreamingRequest};
pub use tls::{
    ClientCertificate, TlsError, TlsOptions, client_config, client_config_with_certificate,
    config_without_tls,
};
