//! Server side of HTTP/1: listeners, connections, and bodies that the kernel sends from files.
//!
//! `server` accepts sockets and calls [`serve`] for each. A connection first tries the fast path
//! (`fast_path`), which answers simple requests without hyper; hyper serves all others over the
//! `transport`. `framing` validates each request head before hyper reads it.

mod active;
mod body;
mod body_source;
mod completion;
mod connection;
mod connection_state;
mod fast_path;
mod framing;
mod idle;
mod listener;
mod server_state;
mod slow_client;
mod timer;
mod transport;

pub use active::parked_since_peak;
pub use body::ResponseBody;
pub use completion::Completion;
pub use connection::{Connection, ConnectionSettings, Handler, serve};
pub use fast_path::{FastHandler, FastRequest};
pub use framing::{Authority, FramingError, RejectedRequest};
pub use listener::{ListenError, ListenOptions, adopt, bind};
pub use server_state::ServerState;
pub use transport::released_since_peak;

/// Restarts the measurement of the peaks of active connections and of their read buffers.
pub fn reset_peaks() {
    active::reset_peak();
    transport::reset_peak();
}
