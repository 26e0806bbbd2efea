//! Server side of HTTP/1: listeners, connections, and bodies that the kernel sends from files.

mod active;
mod authority;
mod body;
mod body_framing;
mod body_source;
mod completion;
mod connection;
mod connection_state;
mod fast_path;
mod framing;
mod framing_error;
mod head;
mod idle;
mod listener;
mod read_buffer;
mod readahead;
mod server_state;
mod slow_client;
mod timer;
mod transport;

pub use active::parked_since_peak;
pub use authority::Authority;
pub use body::ResponseBody;
pub use completion::Completion;
pub use connection::{Connection, ConnectionSettings, Handler, serve};
pub use fast_path::{FastHandler, FastRequest};
pub use framing_error::{FramingError, RejectedRequest};
pub use listener::{ListenError, ListenOptions, adopt, bind};
pub use read_buffer::released_since_peak;
pub use server_state::ServerState;

/// Counts the peaks of connections and of their buffers anew.
pub fn reset_peaks() {
    active::reset_peak();
    read_buffer::reset_peak();
}
