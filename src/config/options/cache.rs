//! The image cache.

use std::path::PathBuf;

use crate::config::declare::options;
use crate::config::value_types::{FilePath, Int};

options! {
    /// The image cache.
    pub struct CacheConfig, "DEFAULT", "Image cache";

    /// Folder of the cache. It keeps images whose data are at other servers (http, s3, swift) near; those of the file
    /// store are near already and never go there. It is used with [paste_deploy] flavor = caching or cachemanagement,
    /// alone or behind keystone+ or trusted-auth+. It is created.
    image_cache_dir: PathBuf = "$data_dir/image-cache", FilePath;
    /// The most that it holds, images that are being fetched included. Room is made before it is used: images that
    /// were asked for longest ago leave, but none that is being read. What finds no room is passed on uncached.
    image_cache_max_size: u64 = "10737418240", Int::<u64>::new(1 << 20, 1 << 50, "bytes");
    /// What it leaves of its disk to others: it takes no image in, and gives up those that nobody reads, when less is
    /// free.
    image_cache_min_free: u64 = "1073741824", Int::<u64>::new(0, 1 << 50, "bytes");
    /// Ranges of one image that are fetched at a time from Swift and S3. Web servers are asked for the whole, and so
    /// is everybody for an image without a checksum. 1 = never more than one.
    image_cache_fill_ranges: usize = "4", Int::<usize>::new(1, 64, "");
    /// Length of such a range.
    image_cache_fill_range_size: u64 = "16777216", Int::<u64>::new(1 << 20, 1 << 40, "bytes");
    /// Connections of all fills together, beside the first of each.
    image_cache_fill_connections: usize = "16", Int::<usize>::new(0, 4_096, "");
    /// Queued images (queued_images, glance-cache-manage queue-image) that are fetched at a time, before anybody asks.
    image_cache_prefetches: usize = "2", Int::<usize>::new(1, 64, "");
}
