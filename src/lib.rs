//! One image node: the OpenStack Image service (Glance), v1 API, as native programs.
pub mod api;
pub mod client;
pub mod config;
pub mod error;
pub mod image;
pub mod log;
pub mod metrics;
pub mod net;
pub mod registry;
pub mod server;
pub mod service;
pub mod store;
pub mod transfer;
pub mod wire;
