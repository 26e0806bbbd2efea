//! Sockets: listeners, one HTTP/1 connection, and bodies that never pass through user space.

mod body;
mod completion;
mod connection;
mod head_guard;
mod listener;
mod plain;
mod prefetch;
mod segment;
mod shared;
mod timer;
mod transport;

pub use body::ResponseBody;
pub use completion::Completion;
pub use connection::{Connection, ConnectionSettings, Handler, serve};
pub use head_guard::Violation;
pub use listener::{ListenError, ListenOptions, bind, check_free};
pub use plain::{PlainHandler, PlainRequest};
