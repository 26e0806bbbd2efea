//! MD5 (RFC 1321), the checksum of every image.
//!
//! MD5 is a chain: one stream cannot be hashed faster than its dependent
//! instructions follow each other. Many streams can, side by side in the lanes
//! of a vector register. [`HashEngine`] does that with all uploads, cache fills
//! and checks under way; [`Md5`] is for a single small thing on the spot.
//!
//! From the ground up: `rounds` (the 64 rounds for any register), `vectors` and
//! `registers` (x86 registers), `single` and `lanes` (compressors), `cpu` (which
//! of them this machine gets), `state` (padding and length), `lane` and `feed`
//! (one stream under way), `board` (who hashes what, and when), `engine`.

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
