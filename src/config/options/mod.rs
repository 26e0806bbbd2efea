//! The declarations of all options, one struct for each subject.
//!
//! Glance keeps most of its options in `[DEFAULT]`, whatever their subject. The structs split that
//! section, so that each component receives only the options of its own subject; the file does not
//! show the split. The doc comment of an option is its help in the sample file and in
//! `docs/reference/options.md`.

mod cache;
mod identity;
mod images;
mod log;
mod registry;
mod s3;
mod scrubber;
mod server;
mod sources;
mod storage;
mod store_names;
mod swift;

pub use cache::CacheConfig;
pub use identity::{
    IdentityConfig, IdentityMode, KeystoneConfig, PasteConfig, ProtectionRules, RulesConfig,
};
pub use images::ImagesConfig;
pub use log::LogConfig;
pub use registry::{RegistryBackend, RegistryConfig};
pub use s3::{S3BucketUrl, S3Checksums, S3Config};
pub use scrubber::ScrubberConfig;
pub use server::{HealthcheckConfig, HttpConfig, ListenConfig};
pub use sources::{CopiesConfig, HttpStoreConfig, SourcesConfig};
pub use storage::{DataConfig, IoBackend, StoreConfig, StoreIo};
pub(crate) use store_names::store_named;
pub(crate) use swift::SwiftAuthVersion;
pub use swift::{EndpointType, SwiftAuth, SwiftConfig, SwiftManifest};
