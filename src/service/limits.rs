//! The operator's limits and switches that the verbs apply.

use std::time::Duration;

use crate::image::{FormatRules, OwnerLimits, SourceRules};

/// Limits and switches from the configuration.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(Default))]
pub struct Limits {
    /// The name of this server in the records of its uploads.
    pub node_name: String,
    /// Largest image, in bytes.
    pub image_size_cap_bytes: u64,
    /// Most properties of an image.
    pub property_quota: usize,
    /// Most members of an image.
    pub member_quota: usize,
    /// Most images and bytes of one owner.
    pub owner: OwnerLimits,
    /// Images on a page if the request states no limit.
    pub default_page: usize,
    /// Most images on a page.
    pub largest_page: usize,
    /// True if the scrubber removes the data of deleted images, after `scrub_after`.
    pub delayed_delete: bool,
    /// Time from a deletion until the scrubber removes the data.
    pub scrub_after: Duration,
    /// Images that the scrubber removes at the same time.
    pub scrubs: usize,
    /// Bytes of an upload that may wait for hash and store.
    pub upload_window_bytes: usize,
    /// True if downloads from other servers are compared with the checksum of the record.
    pub verify_downloads: bool,
    /// The disk and container formats that clients may use.
    pub formats: FormatRules,
    /// The external sources that clients may name.
    pub source_rules: SourceRules,
    /// Copies that run at the same time; further ones wait.
    pub copies: usize,
    /// Least bytes per second that the source of a copy must send; zero for no limit.
    pub copy_min_rate_bytes: u64,
}
