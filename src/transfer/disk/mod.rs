//! Writes files without blocking a worker, by one of two engines with the same interface.
//!
//! `uring` submits writes and fsyncs to io_uring and needs no thread. `threads` makes blocking
//! calls on a few threads, for kernels and containers that refuse io_uring. A probe at start-up
//! selects the engine.

mod engine;
mod threads;
mod uring;

pub use engine::{Disk, DiskFile, IoBackend};
pub use uring::{NoUring, probe as probe_uring};
