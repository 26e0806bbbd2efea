//! What is kept near and what is queued for it, as the management of the image cache says it
//! (Glance, `/v1/cached_images` and `/v1/queued_images`).

use serde::{Deserialize, Serialize};

/// The answer to `GET /v1/cached_images`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CachedImages {
    /// What is kept.
    pub cached_images: Vec<CachedImage>,
}

/// One kept image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CachedImage {
    /// The image.
    pub image_id: String,
    /// How often it was asked for since it is kept.
    pub hits: u64,
    /// When it was asked for last, in seconds since the epoch.
    pub last_accessed: f64,
    /// When it was fetched, in seconds since the epoch.
    pub last_modified: f64,
    /// Its size in bytes.
    pub size: u64,
}

/// The answer to `GET /v1/queued_images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedImages {
    /// The images, in the order of the queue.
    pub queued_images: Vec<String>,
}

/// The answer to a DELETE of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumDeleted {
    /// How many there were.
    pub num_deleted: usize,
}
