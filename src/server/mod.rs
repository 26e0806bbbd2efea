//! The server programs: `glance-api`, `glance-registry` and `glance-scrubber`.
//!
//! `run` is the start sequence of the two servers, from the command line to the last signal. It
//! reads the configuration (`bootstrap`), builds the components (`compose`), serves connections
//! on worker threads (`serve`), and handles signals, reload and drain (`lifecycle`). `scrubber`
//! is the separate program that removes the data of deleted images.

mod bootstrap;
mod compose;
mod inherited;
mod lifecycle;
mod operator_token;
mod pid_file;
mod run;
mod scrubber;
mod serve;
mod start_error;

pub use compose::open_stores::OpenStores;
pub use compose::registry::open_registry;
pub use run::{api_main, registry_main};
pub use scrubber::run::scrubber_main;
pub use start_error::StartError;
