//! Every option this program acts on, one struct a subject.
//!
//! Most options of Glance stand in `[DEFAULT]`, which is a drawer rather than a subject; so it is split here, and
//! a part of the program is given only the struct of its own subject. In the file nothing is split.

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
