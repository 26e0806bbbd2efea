//! Options of the S3 store.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Secret;
use crate::config::declare::options;
use crate::config::value_types::{
    Choice, FilePath, Flag, HostUrl, Int, Optional, Password, Seconds, Text,
};

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;
/// Largest object that S3 accepts in one request, in MiB.
const LARGEST_PUT_MIB: u64 = 5_120;
/// Smallest part that S3 accepts, except for the last one, in MiB.
const SMALLEST_PART_MIB: u64 = 5;
/// Largest value of the timeouts: an hour.
const HOUR_S: u64 = 3_600;

/// Position of the bucket's name in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3BucketUrl {
    /// In the host name for Amazon hosts, else in the path.
    Auto,
    /// In the path.
    Path,
    /// In the host name.
    Virtual,
}

/// Requests that carry an additional checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Checksums {
    /// Requests that S3 rejects without one.
    WhenRequired,
    /// All requests for which S3 supports one.
    WhenSupported,
}

options! {
    /// Account, bucket, part sizes and timeouts of the S3 store.
    pub struct S3Config, "glance_store", "S3 store";

    /// Host of the S3 service. Plain HTTP is used unless it starts with https://, as in Glance.
    /// Required when s3 is in stores.
    s3_store_host: Option<String> = "", Optional(HostUrl), also [("DEFAULT", "s3_store_host")];
    /// Region for which requests are signed. When it is empty, it is taken from an Amazon host
    /// name, else it is us-east-1. Set it for services that check the region of signatures.
    s3_store_region_name: String = "", Text, also [("DEFAULT", "s3_store_region_name")];
    /// Access key of the account that owns the bucket. Required when s3 is in stores.
    s3_store_access_key: Secret = "", Password, also [("DEFAULT", "s3_store_access_key")];
    /// Secret key of that account. Required when s3 is in stores. A file that contains a key must
    /// not be readable by other users.
    s3_store_secret_key: Secret = "", Password, also [("DEFAULT", "s3_store_secret_key")];
    /// Bucket of the images, with one object for each image. Required when s3 is in stores.
    s3_store_bucket: String = "", Text, also [("DEFAULT", "s3_store_bucket")];
    /// Creates a missing bucket when the first image is uploaded. Off by default, so that a
    /// misspelt name does not create a bucket.
    s3_store_create_bucket_on_put: bool = "False", Flag, also [
        ("DEFAULT", "s3_store_create_bucket_on_put"),
    ];
    /// How URLs name the bucket: path (https://host/bucket), virtual (https://bucket.host), or
    /// auto (virtual for Amazon hosts, else path).
    s3_store_bucket_url_format: S3BucketUrl = "auto", Choice(&[
        ("auto", S3BucketUrl::Auto),
        ("path", S3BucketUrl::Path),
        ("virtual", S3BucketUrl::Virtual),
    ]), also [("DEFAULT", "s3_store_bucket_url_format")];
    /// Largest image that is sent in a single request; it is held in memory for that. Larger
    /// images are sent in parts. Glance's default is 100; the smaller one saves memory.
    s3_store_large_object_size: u64 = "16", Int::<u64>::new(1, LARGEST_PUT_MIB, "MiB"), also [
        ("DEFAULT", "s3_store_large_object_size"),
    ];
    /// Smallest part of an image that is sent in parts. Parts grow when an image would otherwise
    /// need more than 9,000 of them, and double every 500 parts when the size of the image is
    /// unknown. Glance's default is 10.
    s3_store_large_object_chunk_size: u64 = "8", Int::<u64>::new(
        SMALLEST_PART_MIB, LARGEST_PUT_MIB, "MiB"
    ), also [("DEFAULT", "s3_store_large_object_chunk_size")];
    /// Parts of one image that are sent in parallel. Raise it when a single connection to S3 is
    /// slow; each part needs memory of s3_store_upload_memory.
    s3_store_thread_pools: usize = "10", Int::<usize>::new(1, 1_000, ""), also [
        ("DEFAULT", "s3_store_thread_pools"),
    ];
    /// Memory for parts of all uploads to S3 together, taken as their bytes arrive. When it is
    /// used up, a part of known length is streamed without being buffered. A part of an upload of
    /// unknown length cannot be larger than this value and waits instead: 64 MiB suffice for such
    /// uploads of up to 550 GiB, 128 MiB for 1 TiB.
    s3_store_upload_memory: u64 = "64", Int::<u64>::new(SMALLEST_PART_MIB, 1 << 20, "MiB");
    /// Compares the ETag that S3 returns for each part with the MD5 of the data that were sent.
    /// ETags that are not an MD5, as with encryption by KMS keys, are not compared. Turn it off
    /// for a service whose ETags have the form of an MD5 and are none.
    s3_store_verify_uploads: bool = "true", Flag;
    /// Additional checksums that S3 verifies: when_required, or when_supported. Many services
    /// other than Amazon's reject the additional ones, hence the default.
    s3_store_checksums: S3Checksums = "when_required", Choice(&[
        ("when_required", S3Checksums::WhenRequired),
        ("when_supported", S3Checksums::WhenSupported),
    ]);
    /// PEM file of the certificate authorities that are trusted for S3. When it is empty, those of
    /// the system are used.
    s3_store_cacert: Option<PathBuf> = "", Optional(FilePath), also [
        ("DEFAULT", "s3_store_cacert"),
    ];
    /// Longest time until a connection to S3 is established. The default is short, because
    /// requests are retried.
    s3_store_connect_timeout: Duration = "3", Seconds { min: 1, max: HOUR_S };
    /// Longest time for which S3 may neither accept data of a request nor begin its response.
    /// Raise it for services that take long to assemble the parts of a large image.
    s3_store_response_timeout: Duration = "30", Seconds { min: 1, max: HOUR_S };
    /// Longest pause of S3 within the data of an image. An interrupted download is resumed where
    /// it ended.
    s3_store_stall_timeout: Duration = "60", Seconds { min: 1, max: HOUR_S };
}

impl S3Config {
    /// Returns the size of the largest image that is sent in one request, in bytes.
    pub fn single_put_bytes(&self) -> u64 {
        self.s3_store_large_object_size * MIB
    }

    /// Returns the size of the smallest part, in bytes.
    pub fn part_bytes(&self) -> u64 {
        self.s3_store_large_object_chunk_size * MIB
    }

    /// Returns the memory for parts of all uploads, in bytes.
    pub fn upload_memory_bytes(&self) -> u64 {
        self.s3_store_upload_memory * MIB
    }
}
