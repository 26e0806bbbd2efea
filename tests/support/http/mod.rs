//! A small HTTP/1.1 client over a plain socket.
//!
//! It adds only `Host` and the framing of the body to a request, and both can be omitted. It shows
//! every byte of a response. Use [`Connection::send_bytes`] for requests that no client would send.

mod connection;
mod request;
mod response;

pub use connection::Connection;
pub use request::{LAST_CHUNK, Request, chunk_bytes};
pub use response::{Response, ResponseHead};
