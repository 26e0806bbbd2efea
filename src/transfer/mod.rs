//! Bytes in motion: buffers, disks, hashes and bodies.

mod block;
mod blocking;
mod directory;
pub mod disk;
mod extents;
mod growing;
mod pace;
pub mod page_cache;
mod payload;
mod pipe;
mod pipe_pool;
mod reading;
mod relay;
mod remote;
mod rendered;
mod slice;

pub use block::{BLOCK_ALIGNMENT, BLOCK_BYTES, Block, BlockPool, release_idle_blocks};
pub use blocking::{Blocking, BlockingThreads};
pub use directory::{
    Directory, allocate_ahead, free_bytes, is_unsupported, mark_of, set_mark, take_room,
};
pub use growing::{Growing, GrowingSlice};
pub use pace::{Pace, RATE_WINDOW};
pub use payload::Payload;
pub use reading::digest_of_file;
pub use relay::Relay;
pub use remote::{Arrived, DEFAULT_STALL, Frames, Origin, Part, Remote, SocketPart};
pub use rendered::{Render, Rendered};
pub use slice::FileSlice;
