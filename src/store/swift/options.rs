//! Options of the Swift store.

use std::time::Duration;

use super::login::SwiftEndpoint;
use crate::config::{SwiftAccount, SwiftManifest};

/// Options of the Swift store.
#[derive(Debug, Clone)]
pub struct SwiftOptions {
    /// The configured accounts.
    pub accounts: Vec<SwiftAccount>,
    /// Reference of the account of new images. Uploads fail if no account has it.
    pub default_reference: String,
    /// Which URL of a login's response is the account's.
    pub endpoint: SwiftEndpoint,
    /// How long before its expiry a token is renewed.
    pub renew_before: Duration,
    /// Container of new images.
    pub container: String,
    /// True if a missing container is created.
    pub make_container: bool,
    /// Number of digits of an image's identifier that choose its container; 0 for one container.
    pub containers_seed: usize,
    /// Size from which on an image is split into segments, in bytes.
    pub large_object_bytes: u64,
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// The kind of manifest.
    pub manifest: SwiftManifest,
    /// True if the MD5s of segments are compared with those of Swift.
    pub verify_segments: bool,
    /// The most consecutive attempts to resume a download without a byte of progress.
    pub most_resumes: u32,
    /// Longest silence of Swift during a download.
    pub stall: Duration,
}
