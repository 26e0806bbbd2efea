//! Requests to other servers: the origins of images, object stores, the identity service.
//!
//! [`Client::send`] and [`Client::ask`] are for calls, and for what is in memory when it is
//! sent: connections are kept and used again. [`Client::put`] is for bodies that are pushed
//! while they are sent.
//! [`Client::open`] is for objects: where the answer comes over a plain socket and has a
//! length, the socket itself is handed on, so that the kernel can move what follows.
//!
//! Connections belong to the thread that made them, since its runtime drives them.

mod bodies;
mod client;
mod dial;
mod error;
mod options;
mod pool;
mod progress;
mod put;
mod reach;
mod renewable;
mod target;
mod tls;

pub use bodies::{empty, full};
pub use client::Client;
pub use error::OutgoingError;
pub use options::ClientOptions;
pub use put::{Begun, Ended, Sending};
pub use reach::{NamedReach, Reach};
pub use renewable::{Expiring, Renewable};
pub use tls::{TlsError, TlsOptions, client_config};
