//! The doors: each parses a request into a typed endpoint, calls a verb of the service and
//! renders the answer, and nothing else.
//!
//! `frame` does once what every request needs: refusing what must not be looked at, request
//! ids, errors in the form the client reads, headers for caches, counting, the access log. `v1`
//! is the image API's own door, `registry` that of a registry server, `state` what these
//! two share; `admin` is the operator's.

mod access_log;
mod admin;
mod admin_commands;
mod body;
mod caching;
mod errors;
mod health;
mod path;
mod registry;
mod request;
mod request_id;
mod response;
mod root;
mod server;
mod state;
mod status;
mod v1;

pub use admin::AdminApi;
pub use admin_commands::{AdminCommands, OPERATOR_TOKEN, ScrubReport};
pub use body::BodyTimeouts;
pub use health::NodeHealth;
pub use registry::RegistryApi;
pub use root::RootApi;
pub use server::{Api, ApiServer, ApiServerSettings};
pub use state::{ApiSettings, ApiState};
