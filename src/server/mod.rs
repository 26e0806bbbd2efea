//! The life of a server process: configuration, parts, workers, drain.
//!
//! `build` makes the parts an [`App`] has, in one straight line; `run` binds, starts a
//! thread a worker and one that accepts for them, says so, and waits for the signal to end.

mod acceptor;
mod admin;
mod balance;
mod build;
mod drain;
mod identity;
mod limits;
mod listener;
mod memory;
mod node_client;
mod offline;
mod operator_token;
mod program;
mod rules;
mod run;
mod scrub;
mod settings;
mod start_error;
mod stores;
mod swift;
mod worker;
mod workers;

pub use build::{App, build};
pub use run::api_main;
pub use scrub::scrubber_main;
pub use start_error::StartError;
