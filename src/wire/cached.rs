//! JSON messages of the management API of the image cache (Glance's `/v1/cached_images` and
//! `/v1/queued_images`).

use serde::{Deserialize, Serialize};

/// The response to `GET /v1/cached_images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CachedImages {
    /// The cached images.
    pub cached_images: Vec<CachedImage>,
}

/// A cached image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CachedImage {
    /// The identifier.
    pub image_id: String,
    /// Downloads since it was cached.
    pub hits: u64,
    /// Time of the last download, in seconds since 1970.
    pub last_accessed: f64,
    /// Time when it was cached, in seconds since 1970.
    pub last_modified: f64,
    /// Its size in bytes.
    pub size: u64,
}

/// The response to `GET /v1/queued_images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedImages {
    /// The identifiers, in the order of the queue.
    pub queued_images: Vec<String>,
}

/// The response to a DELETE of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumDeleted {
    /// Number of images removed.
    pub num_deleted: usize,
}
