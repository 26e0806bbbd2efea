//! Options of the S3 store.

use std::time::Duration;

use crate::config::Secret;
use crate::http_client::TlsOptions;

/// The position of the bucket's name in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketUrl {
    /// In the host name at Amazon, in the path elsewhere.
    Auto,
    /// In the path.
    Path,
    /// In the host name.
    Virtual,
}

/// When requests carry checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksums {
    /// Only where S3 requires them.
    WhenRequired,
    /// Wherever S3 supports them.
    WhenSupported,
}

/// Options of the S3 store.
#[derive(Debug, Clone)]
pub struct S3StoreOptions {
    /// The service's URL, without a trailing slash.
    pub endpoint: String,
    /// The region that requests are signed for; empty to derive it from the host name.
    pub region: String,
    /// Access key of the account that new images belong to.
    pub access_key: Secret,
    /// Secret key of that account.
    pub secret_key: Secret,
    /// The bucket of new images.
    pub bucket: String,
    /// The position of the bucket's name in URLs.
    pub bucket_url: BucketUrl,
    /// True if a missing bucket is created.
    pub creates_bucket: bool,
    /// The largest image that is sent in one request, in bytes.
    pub single_put_bytes: u64,
    /// The smallest part of a multipart upload, in bytes.
    pub part_bytes: u64,
    /// Parts of one image that are sent at the same time.
    pub parts_at_once: usize,
    /// Memory for the parts of all uploads together, in bytes.
    pub upload_memory_bytes: u64,
    /// When requests carry checksums.
    pub checksums: Checksums,
    /// True if the MD5 that S3 reports is compared with that of the sent bytes.
    pub verify_uploads: bool,
    /// Which certificates to trust.
    pub tls: TlsOptions,
    /// Longest time to establish a connection.
    pub connect_timeout: Duration,
    /// Longest time that the service neither accepts bytes of a request nor responds.
    pub response_timeout: Duration,
    /// Longest silence of the service in the middle of an object.
    pub stall_timeout: Duration,
}
