//! MD5 (RFC 1321), the checksum of every image.

mod board;
mod cpu;
mod engine;
mod feed;
mod lane;
mod lanes;
#[doc(hidden)]
pub mod measure;
#[cfg(target_arch = "x86_64")]
mod registers;
mod rounds;
mod single;
mod state;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vectors;

pub use engine::{DEFAULT_WINDOW_BYTES, DigestLost, HashEngine, Md5Stream};
pub use state::{DIGEST_BYTES, Md5};
