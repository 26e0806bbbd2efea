//! Options of the image cache.

use std::path::PathBuf;

use crate::config::declare::options;
use crate::config::value_types::{FilePath, Int};

options! {
    /// Folder, size and fetch parallelism of the image cache.
    pub struct CacheConfig, "DEFAULT", "Image cache";

    /// Folder of the image cache, which keeps copies of images whose data are on other servers
    /// (http, s3, swift). Images of the file store are never cached. The cache is used with
    /// [paste_deploy] flavor = caching or cachemanagement, alone or after keystone+ or
    /// trusted-auth+. The server creates the folder.
    image_cache_dir: PathBuf = "$data_dir/image-cache", FilePath;
    /// Largest total size of the cache, including images that are being fetched. Before it would
    /// be exceeded, the images that were requested longest ago are evicted, except those that are
    /// being read. An image for which no space can be freed is passed through without being
    /// cached.
    image_cache_max_size: u64 = "10737418240", Int::<u64>::new(1 << 20, 1 << 50, "bytes");
    /// Free space that the cache leaves on its disk. When less is free, the cache admits no image
    /// and evicts images that nothing reads. Raise it when the disk is shared with programs that
    /// need more.
    image_cache_min_free: u64 = "1073741824", Int::<u64>::new(0, 1 << 50, "bytes");
    /// Byte ranges of one image that are fetched in parallel from Swift and S3. One request is
    /// used for web servers and for images without a checksum. 1 always uses one request. Raise it
    /// when a single connection to the backend is slow.
    image_cache_fill_ranges: usize = "4", Int::<usize>::new(1, 64, "");
    /// Size of each of these ranges. Larger ranges mean fewer requests; smaller ones spread the
    /// load more evenly.
    image_cache_fill_range_size: u64 = "16777216", Int::<u64>::new(1 << 20, 1 << 40, "bytes");
    /// Connections that all fills together may use in addition to the first connection of each.
    /// The default suffices for five fills with four ranges each.
    image_cache_fill_connections: usize = "16", Int::<usize>::new(0, 4_096, "");
    /// Queued images (queued_images, glance-cache-manage queue-image) that are fetched at the same
    /// time, before a client requests them. More compete with the fills that clients wait for.
    image_cache_prefetches: usize = "2", Int::<usize>::new(1, 64, "");
}
