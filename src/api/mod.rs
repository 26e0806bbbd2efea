//! The doors: each parses a request into a typed endpoint, calls a verb of the service and
//! renders the answer, and nothing else.
//!
//! `frame` does once what every request needs: refusing what must not be looked at, request
//! ids, errors in the form the client reads, headers for caches, counting, the access log. `v1`
//! is the image API's own door, `registry` that of a registry server, `door_state` what these
//! two share; `admin` is the operator's.

mod access;
mod admin;
mod answer;
mod body;
mod caching;
mod door_state;
mod errors;
mod exchange;
mod frame;
mod gone_query;
mod health;
mod list_query;
mod operator;
mod path;
mod registry;
mod request_id;
mod status;
mod v1;

pub use admin::AdminDoor;
pub use body::Patience;
pub use door_state::{DoorSettings, DoorState};
pub use frame::{Door, Frame, FrameSettings};
pub use health::NodeHealth;
pub use operator::{OPERATOR_TOKEN, Operator, ScrubReport};
pub use registry::RegistryDoor;
pub use v1::V1Door;
