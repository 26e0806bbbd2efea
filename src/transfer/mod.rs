//! Bytes in motion: buffers, disks, hashes and bodies.

mod block;
mod blocking;
pub mod disk;
pub mod md5;
mod pace;
pub mod page_cache;
mod payload;
mod pipe;
mod relay;
mod remote;

pub use block::{BLOCK_ALIGNMENT, BLOCK_BYTES, Block, BlockPool};
pub use blocking::{Blocking, BlockingThreads};
pub use pace::{Pace, RATE_WINDOW};
pub use payload::{FileSlice, Payload};
pub use relay::Relay;
pub use remote::{Arrived, DEFAULT_STALL, Frames, Origin, Part, Remote, SocketPart};
