//! MD5 (RFC 1321), the checksum of every image.
//!
//! MD5 is a chain of dependent instructions, which limits the speed of one stream. Several
//! streams can be hashed side by side in the lanes of a vector register at nearly the same cost.
//! [`HashEngine`] does this with the streams of all uploads, cache fills and checks; [`Md5`]
//! hashes one message on the caller's thread.
//!
//! Files, lowest layer first: `rounds` (the 64 rounds for any register type), `vectors` and
//! `registers` (x86 registers), `single` and `lanes` (compression functions), `cpu` (their choice
//! at run time), `state` (padding and length), `lane` and `queue` (one stream), `scheduler`
//! (assigns streams to threads), `engine` (the public interface).

mod cpu;
mod engine;
mod lane;
mod lanes;
#[doc(hidden)]
pub mod measure;
mod queue;
#[cfg(target_arch = "x86_64")]
mod registers;
mod rounds;
mod scheduler;
mod single;
mod state;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vectors;

pub use engine::{DEFAULT_WINDOW_BYTES, DigestLost, HashEngine, Md5Stream};
pub use state::{DIGEST_BYTES, Md5};
