//! Sockets: listeners, one HTTP/1 connection, bodies that never pass through user space, and
//! requests to other servers.

mod authority;
mod awake;
mod body;
mod body_framing;
mod completion;
mod connection;
mod head;
mod inbound;
mod listener;
pub mod outgoing;
mod pace;
mod phase;
mod plain;
mod prefetch;
mod quiet;
mod refusal;
mod segment;
mod shared;
mod timer;
mod transport;

pub use authority::Authority;
pub use awake::{forget_peak, parked_since_peak};
pub use body::ResponseBody;
pub use completion::Completion;
pub use connection::{Connection, ConnectionSettings, Handler, serve};
pub use listener::{ListenError, ListenOptions, bind, take_over};
pub use phase::Phase;
pub use plain::{PlainHandler, PlainRequest};
pub use refusal::{Refusal, Violation};
