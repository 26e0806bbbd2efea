//! What an operator says about the S3 store.

use std::time::Duration;

use crate::config::Secret;
use crate::http_client::TlsOptions;

/// Where a bucket's name stands in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketUrl {
    /// In the host's name at Amazon, in the path elsewhere.
    Auto,
    /// In the path.
    Path,
    /// In the host's name.
    Virtual,
}

/// When checksums go along with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksums {
    /// Where S3 refuses a request without.
    WhenRequired,
    /// Wherever S3 knows what to do with them.
    WhenSupported,
}

/// What an S3 store needs to know.
#[derive(Debug, Clone)]
pub struct S3StoreOptions {
    /// The service, as a URL without a slash at its end.
    pub endpoint: String,
    /// The region that requests are signed for; empty for the one the host's name says.
    pub region: String,
    /// The account that new images belong to.
    pub access_key: Secret,
    /// Its key.
    pub secret_key: Secret,
    /// The bucket of new images.
    pub bucket: String,
    /// Where a bucket's name stands.
    pub bucket_url: BucketUrl,
    /// Whether the bucket is made when it is missing.
    pub creates_bucket: bool,
    /// The largest image that is sent in one request.
    pub single_put_bytes: u64,
    /// The smallest part of a larger one.
    pub part_bytes: u64,
    /// Parts of one image that are sent at a time.
    pub parts_at_once: usize,
    /// PartMemory for parts, all uploads together.
    pub upload_memory_bytes: u64,
    /// When checksums go along.
    pub checksums: Checksums,
    /// Whether the MD5 of what S3 has received is compared with what was sent.
    pub verify_uploads: bool,
    /// Whom we trust.
    pub tls: TlsOptions,
    /// Longest time until a connection stands.
    pub connect_timeout: Duration,
    /// Longest time that the service takes nothing of a request and does not answer.
    pub response_timeout: Duration,
    /// Longest silence in the middle of an object.
    pub stall_timeout: Duration,
}
