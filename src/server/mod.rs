//! The life of a server process: configuration, parts, workers, drain.
//!
//! `build` makes the parts an [`app::App`] has, in one straight line; `run` binds, starts a
//! thread a worker and one that accepts for them, and says so; `life` waits for signals. One
//! ends it, one has `reload` start a successor, which gets the sockets and the registry.

mod acceptor;
mod admin;
mod app;
mod balance;
mod build;
mod cache;
mod drain;
mod identity;
mod inherited;
mod life;
mod limits;
mod listener;
mod memory;
mod node_client;
mod offline;
mod operator_token;
mod pid_file;
mod program;
mod registry;
mod reload;
mod rules;
mod run;
mod scrub;
mod settings;
mod start_error;
mod stores;
mod supervisor;
mod swift;
mod tools;
mod worker;
mod workers;

pub use registry::open_registry;
pub use run::{api_main, registry_main};
pub use scrub::scrubber_main;
pub use start_error::StartError;
pub use tools::OpenStores;
