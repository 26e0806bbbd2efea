//! A small HTTP/1.1 client over a plain socket.
//!
//! It adds nothing to a request but `Host` and the framing of the body, and both can be left
//! out; it hides nothing of an answer. For requests no client would send, write bytes with
//! [`Connection::send_bytes`].

mod connection;
mod request;
mod response;

pub use connection::Connection;
pub use request::{LAST_CHUNK, Request, chunk_bytes};
pub use response::{Response, ResponseHead};
