//! Images in S3.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::Secret;
use crate::config::declare::options;
use crate::config::value_types::{
    Choice, FilePath, Flag, HostUrl, Int, Optional, Password, Seconds, Text,
};

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;
/// The largest object that S3 takes in one request, in MiB.
const LARGEST_PUT_MIB: u64 = 5_120;
/// The smallest part that S3 takes but for the last, in MiB.
const SMALLEST_PART_MIB: u64 = 5;
/// The longest time that an option may ask for: an hour.
const HOUR_S: u64 = 3_600;

/// Where a bucket's name stands in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3BucketUrl {
    /// In the host's name at Amazon, in the path elsewhere.
    Auto,
    /// In the path.
    Path,
    /// In the host's name.
    Virtual,
}

/// When checksums go along with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum S3Checksums {
    /// Where S3 refuses a request without.
    WhenRequired,
    /// Wherever S3 knows what to do with them.
    WhenSupported,
}

options! {
    /// The S3 store.
    pub struct S3Config, "glance_store", "Images in S3";

    /// The S3 service. Without https:// it is asked in plain HTTP, as by Glance. Needed when s3 is in stores.
    s3_store_host: Option<String> = "", Optional(HostUrl), also [("DEFAULT", "s3_store_host")];
    /// Region that requests are signed for. Nothing = the one in the host's name at Amazon, us-east-1 elsewhere.
    s3_store_region_name: String = "", Text, also [("DEFAULT", "s3_store_region_name")];
    /// Access key of the account that owns the bucket. Needed when s3 is in stores.
    s3_store_access_key: Secret = "", Password, also [("DEFAULT", "s3_store_access_key")];
    /// Secret key of that account. Needed when s3 is in stores.
    s3_store_secret_key: Secret = "", Password, also [("DEFAULT", "s3_store_secret_key")];
    /// Bucket that images are kept in, one object an image. Needed when s3 is in stores.
    s3_store_bucket: String = "", Text, also [("DEFAULT", "s3_store_bucket")];
    /// Whether a bucket that is missing is made when the first image comes.
    s3_store_create_bucket_on_put: bool = "False", Flag, also [
        ("DEFAULT", "s3_store_create_bucket_on_put"),
    ];
    /// Where the bucket's name stands in a URL: path (https://host/bucket), virtual (https://bucket.host), or auto
    /// (virtual at Amazon, path elsewhere).
    s3_store_bucket_url_format: S3BucketUrl = "auto", Choice(&[
        ("auto", S3BucketUrl::Auto),
        ("path", S3BucketUrl::Path),
        ("virtual", S3BucketUrl::Virtual),
    ]), also [("DEFAULT", "s3_store_bucket_url_format")];
    /// An image up to this size is sent in one request, and held in memory whole for it; a larger one is sent in
    /// parts. Glance's default is 100.
    s3_store_large_object_size: u64 = "16", Int::<u64>::new(1, LARGEST_PUT_MIB, "MiB"), also [
        ("DEFAULT", "s3_store_large_object_size"),
    ];
    /// Smallest part of an image that is sent in parts. Parts are larger where an image would have more than 9,000,
    /// and double every 500 parts where nobody says how large it will be. Glance's default is 10.
    s3_store_large_object_chunk_size: u64 = "8", Int::<u64>::new(
        SMALLEST_PART_MIB, LARGEST_PUT_MIB, "MiB"
    ), also [("DEFAULT", "s3_store_large_object_chunk_size")];
    /// Parts of one image that are sent at a time.
    s3_store_thread_pools: usize = "10", Int::<usize>::new(1, 1_000, ""), also [
        ("DEFAULT", "s3_store_thread_pools"),
    ];
    /// Memory for parts on their way to S3, all uploads together; taken as their bytes arrive. A part of known length
    /// that finds none left is sent as it comes. A part of an upload of unknown length cannot be larger than this, and
    /// waits: 64 MiB suffice for uploads of unknown length up to 550 GiB, 128 MiB for a TiB.
    s3_store_upload_memory: u64 = "64", Int::<u64>::new(SMALLEST_PART_MIB, 1 << 20, "MiB");
    /// Compare the ETag that S3 answers with to the MD5 of what was sent, of each part. It is none, and is not compared,
    /// where S3 encrypts with keys of KMS. Off for a service whose ETags look like MD5s and are none.
    s3_store_verify_uploads: bool = "true", Flag;
    /// Checksums that S3 is to check besides: when_required (many services other than Amazon's refuse more), or
    /// when_supported.
    s3_store_checksums: S3Checksums = "when_required", Choice(&[
        ("when_required", S3Checksums::WhenRequired),
        ("when_supported", S3Checksums::WhenSupported),
    ]);
    /// File of authorities that may vouch for the S3 service, in PEM. Nothing = those of the system.
    s3_store_cacert: Option<PathBuf> = "", Optional(FilePath), also [("DEFAULT", "s3_store_cacert")];
    /// Longest time until a connection to S3 stands.
    s3_store_connect_timeout: Duration = "3", Seconds { min: 1, max: HOUR_S };
    /// Longest time that S3 may take nothing of a request and not begin its answer.
    s3_store_response_timeout: Duration = "30", Seconds { min: 1, max: HOUR_S };
    /// Longest time that S3 may be silent in the middle of an image.
    s3_store_stall_timeout: Duration = "60", Seconds { min: 1, max: HOUR_S };
}

impl S3Config {
    /// The largest image that is sent in one request, in bytes.
    pub fn single_put_bytes(&self) -> u64 {
        self.s3_store_large_object_size * MIB
    }

    /// The smallest part, in bytes.
    pub fn part_bytes(&self) -> u64 {
        self.s3_store_large_object_chunk_size * MIB
    }

    /// Memory for parts, in bytes.
    pub fn upload_memory_bytes(&self) -> u64 {
        self.s3_store_upload_memory * MIB
    }
}
