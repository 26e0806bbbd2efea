//! Moves image data: buffers, files, pipes, and the payloads of responses. The stores, the cache
//! and the HTTP code build on it; it knows neither images nor HTTP requests.

mod block;
mod blocking;
mod directory;
pub mod disk;
mod extents;
mod file_digest;
mod file_slice;
mod lazy_text;
mod min_rate;
pub mod page_cache;
mod partial_file;
mod payload;
mod pipe;
mod pipe_pool;
mod range_reader;
mod splice_relay;

pub use block::{BLOCK_ALIGNMENT, BLOCK_BYTES, Block, BlockPool, release_idle_blocks};
pub use blocking::{BlockingPool, BlockingThreads};
pub use directory::{
    Directory, allocate_ahead, free_bytes, is_unsupported, reserve_space, set_upload_mark,
    upload_mark,
};
pub use file_digest::digest_of_file;
pub use file_slice::FileSlice;
pub use lazy_text::{LazyText, TextRenderer};
pub use min_rate::{MinRate, RATE_WINDOW};
pub use partial_file::{PartialFile, PartialSlice};
pub use payload::Payload;
pub use range_reader::{
    DEFAULT_STALL, HttpBody, RangeBody, RangeChunk, RangeReader, RangeSource, SocketBody,
};
pub use splice_relay::SpliceRelay;
