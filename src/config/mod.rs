//! The configuration: reads an oslo-style INI file into plain structs.
//!
//! Each option is declared once, in `options`, with a doc comment, a default and a value type. Its
//! field, its reader, its errors, its lines in the sample file and its entry in the option
//! reference all come from that declaration. A key that no option reads causes a warning with its
//! line. An invalid value, and an option of Glance that this release must not ignore, prevent a
//! start.
//!
//! # Layout
//! * `ini` - the file format; `value_types` - the types of values; `declare` - how an option is
//!   declared
//! * `options` - the options, one struct for each subject; `root` - [`Config`], which holds them
//!   all
//! * `values` - the values of one file, with `$name` references resolved
//! * `swift_accounts` - accounts of Swift, from the options or from a file of their own
//! * `secret` - a password that is never printed
//! * `unsupported` - options of Glance that prevent a start; `ignored` - options that have no
//!   effect
//! * `checks` - rules between options, and warnings about risky values
//! * `find` - locates the file; `text_file` - reads it; `load` - turns its text into a [`Config`]
//! * `role` - the differences between the servers that read such a file
//! * `sample` - the sample file; `reference` - the option reference
//! * `args` - the command line of a server; `scrubber_args` - that of `glance-scrubber`

mod args;
mod checks;
mod declare;
mod error;
mod find;
mod ignored;
pub(crate) mod ini;
mod load;
mod options;
#[cfg(test)]
mod reference;
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
