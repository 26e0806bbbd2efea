//! Writing files without blocking a worker: one surface, two engines.
//!
//! `uring` hands writes and fsyncs to the kernel's ring and needs no thread; `threads` does
//! the same with blocking calls on a few threads, for kernels and containers that refuse
//! io_uring. Which one runs is decided once, at the start, by a probe.

mod engine;
mod threads;
mod uring;

pub use engine::{Disk, DiskFile, IoBackend};
pub use uring::{NoUring, probe as probe_uring};
