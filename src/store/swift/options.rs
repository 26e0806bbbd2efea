//! What an operator says about the Swift store.

use std::time::Duration;

use super::login::SwiftEndpoint;
use crate::config::{SwiftAccount, SwiftManifest};

/// What the Swift store needs to know.
#[derive(Debug, Clone)]
pub struct SwiftOptions {
    /// Whom it can log in as.
    pub accounts: Vec<SwiftAccount>,
    /// Reference of the account of new images; nothing can be written when no account has it.
    pub default_reference: String,
    /// Which of the URLs that a login tells is the account's.
    pub endpoint: SwiftEndpoint,
    /// How long before its end a token is renewed.
    pub renew_before: Duration,
    /// Container of new images.
    pub container: String,
    /// Whether it is made when it is not there.
    pub make_container: bool,
    /// Digits of an image's id that choose among several containers; 0 is one container.
    pub containers_seed: usize,
    /// From this size on an image is cut into segments.
    pub large_object_bytes: u64,
    /// Size of a segment.
    pub segment_bytes: u64,
    /// What joins them.
    pub manifest: SwiftManifest,
    /// Whether their MD5s are compared with what Swift has.
    pub verify_segments: bool,
    /// Times a download is asked for again without a byte of progress.
    pub most_resumes: u32,
    /// How long Swift may be silent in a download.
    pub stall: Duration,
}
