//! The OpenStack Image service (Glance), v1 API, as native programs.
//!
//! The API's paths are declared in `api/v1/endpoint.rs`, and the operations behind them are in
//! [`service`], one file each. The programs in `src/bin` are a few lines over this library.
//! `docs/architecture.md` follows an upload, a download and other requests through these layers
//! and states where a change belongs.
//!
//! # Layout
//!
//! From the lowest layer to the highest. A module imports only modules above it in this list, and
//! no two files of a module import each other; `tests/architecture.rs` checks both.
//!
//! * [`image`] - images, ids, statuses, members, queries and the rules of access; no I/O
//! * [`md5`] - MD5 of many streams at once, in vector registers; no imports
//! * [`display`] - which characters of untrusted text are unsafe to print
//! * [`clock`] - the wall clock, which unit tests can set
//! * [`console`] - standard output and standard error of command-line programs
//! * [`process`] - processes of this machine: liveness, pid files, descriptor limits
//! * [`runtime`] - named threads and their runtimes
//! * [`sys`] - system calls that need unsafe code: page cache, statistics of a socket
//! * [`error`] - the error of the domain: a text for the client, a cause for the log
//! * [`config`] - the configuration file as plain structs; each option is declared once
//! * [`metrics`] - every metric, in one table
//! * [`log`] - log lines in the formats of Python's logging, written by a separate thread
//! * [`transfer`] - buffers, disk engines, pipes and payloads: everything that moves image data
//! * [`net`] - the server side of HTTP: listeners, connections, framing, zero-copy sending
//! * [`http_client`] - requests to other servers: connection pool, TLS, proxies, address policy
//! * [`wire`] - messages of the APIs, both directions of each in one file
//! * [`keystone`] - the API of Keystone as a client uses it: logins, tokens, catalogues
//! * [`registry`] - records of images: an index in memory, and the embedded, remote and etcd
//!   registries
//! * [`store`] - image data: files, S3, Swift, and web servers that are only read
//! * [`auth`] - identifies callers, by a trusted proxy or by tokens
//! * [`cache`] - local copies of images whose data are on other servers
//! * [`policy`] - policy rules and property protection
//! * [`service`] - the operations of the Image service and their rules, for every API version
//! * [`api`] - parses requests, calls the service, renders responses
//! * [`server`] - the server programs: composition, workers, reload, drain
//! * [`manage`] - `glance-manage`: dumps, checks and migration of a whole registry
//!
//! Beside the server, limited to the lower layers that they need:
//!
//! * [`client`] - the library and the command line of `glance`
//! * [`control`] - `glance-control`: starts, stops and reloads servers
pub mod api;
pub mod auth;
pub mod cache;
pub mod client;
pub mod clock;
pub mod config;
pub mod console;
pub mod control;
pub mod display;
pub mod error;
pub mod http_client;
pub mod image;
pub mod keystone;
pub mod log;
pub mod manage;
pub mod md5;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod process;
pub mod registry;
pub mod runtime;
pub mod server;
pub mod service;
pub mod store;
pub mod sys;
#[cfg(test)]
mod testing;

pub mod transfer;
pub mod wire;
