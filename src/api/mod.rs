//! The HTTP APIs: each parses a request into a typed endpoint, calls a verb of the service, and
//! renders the response. Rules about images are in `service`, formats of bodies in `wire`.
//!
//! `server` does for every API what each request needs: limits of headers, request ids, errors in
//! the format that the client accepts, caching headers, metrics and the access log. `root`
//! chooses the version of a tenant's request, `v1` is the v1 API, `registry` the API of a
//! registry server, and `admin` the operator's; `state` is shared by all but the last.

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
