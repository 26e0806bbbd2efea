//! The configuration: oslo-style INI in, plain data out.
//!
//! Each option is declared once, in `options`, by a doc comment, a default and a kind; from that come its
//! field, its reader, its error and its lines in the sample. A key that nobody reads is a warning with its line. A
//! bad value, and an option of Glance that must not be passed over in silence, stop the start.
//!
//! # Layout
//! * `ini` the file format; `kinds` the kinds of value; `declare` the declaration of an option
//! * `options` the options themselves; `values` their values in one file, with `$name` in them
//! * `accounts` accounts of Swift, from the options or a file of their own; `secret` what nobody prints
//! * `refused` and `idle` options of Glance that stop the start or do nothing; `checks` rules between
//!   options
//! * `find` where the file is; `text_file` reads it; `load` from its text to the data
//! * `role` what differs between the servers that read a file of this form
//! * `sample` the sample file; `args` the command line of a server, `scrubber_args` that of the scrubber

mod args;
mod checks;
mod declare;
mod error;
mod find;
mod ignored;
pub(crate) mod ini;
mod load;
mod options;
mod role;
mod root;
mod sample;
mod scrubber_args;
mod secret;
mod swift_accounts;
#[cfg(test)]
mod tests;
pub(crate) mod text_file;
mod unsupported;
mod value_types;
mod values;

pub use args::ServerArgs;
pub use error::{
    ConfigError, EXIT_CONFIG, EXIT_FAILURE, EXIT_OK, EXIT_USAGE, FilePosition, Warning,
};
pub use find::{find_config_file, search_dirs};
pub use load::ConfigReport;
pub use options::{
    CacheConfig, DataConfig, EndpointType, HealthcheckConfig, HttpConfig, IdentityConfig,
    IdentityMode, ImagesConfig, IoBackend, KeystoneConfig, ListenConfig, LogConfig, PasteConfig,
    ProtectionRules, RegistryBackend, RegistryConfig, RulesConfig, S3BucketUrl, S3Checksums,
    S3Config, ScrubberConfig, StoreConfig, StoreIo, SwiftAuth, SwiftConfig, SwiftManifest,
};
pub use role::Role;
pub use root::Config;
pub use scrubber_args::ScrubberArgs;
pub use secret::Secret;
pub use swift_accounts::{DomainOption, SwiftAccount};
