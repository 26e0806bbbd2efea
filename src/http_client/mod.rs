//! Requests to other servers: the origins of images, object stores, the identity service.
//!
//! [`HttpClient::send`] and [`HttpClient::fetch`] are for calls, and for what is in memory when it is
//! sent: connections are kept and used again. [`HttpClient::put`] is for bodies that are pushed
//! while they are sent.
//! [`HttpClient::open`] is for objects: where the answer comes over a plain socket and has a
//! length, the socket itself is handed on, so that the kernel can move what follows.
//!
//! Connections belong to the thread that made them, since its runtime drives them.

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
