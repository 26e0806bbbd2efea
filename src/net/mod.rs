//! Server side of HTTP/1: listeners, connections, and bodies that the kernel sends from files.

mod authority;
mod awake;
mod body;
mod body_framing;
mod completion;
mod connection;
mod head;
mod inbound;
mod listener;
mod pace;
mod phase;
mod plain;
mod prefetch;
mod quiet;
mod read_room;
mod refusal;
mod segment;
mod shared;
mod timer;
mod transport;

pub use authority::Authority;
pub use awake::parked_since_peak;
pub use body::ResponseBody;
pub use completion::Completion;
pub use connection::{Connection, ConnectionSettings, Handler, serve};
pub use listener::{ListenError, ListenOptions, bind, take_over};
pub use phase::Phase;
pub use plain::{PlainHandler, PlainRequest};
pub use read_room::released_since_peak;
pub use refusal::{Refusal, Violation};

/// Counts the peaks of connections and of their buffers anew.
pub fn forget_peaks() {
    awake::forget_peak();
    read_room::forget_peak();
}
