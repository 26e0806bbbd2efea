//! [`Config`]: the whole configuration, one field for each struct of options.
//!
//! It stands apart from `options` because it also holds the Swift accounts, which are read from
//! options or from a file of their own.

use crate::config::declare::OptionGroup;
use crate::config::error::ConfigError;
use crate::config::options::{
    CacheConfig, CopiesConfig, DataConfig, HealthcheckConfig, HttpConfig, HttpStoreConfig,
    IdentityConfig, ImagesConfig, KeystoneConfig, ListenConfig, LogConfig, PasteConfig,
    RegistryConfig, RulesConfig, S3Config, ScrubberConfig, SourcesConfig, StoreConfig, SwiftConfig,
};
use crate::config::swift_accounts::{self, SwiftAccount};
use crate::config::values::Values;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listeners, worker threads, stop and reload.
    pub listen: ListenConfig,
    /// Limits of a client connection.
    pub http: HttpConfig,
    /// Data folder, disk I/O and memory of uploads.
    pub data: DataConfig,
    /// Limits and formats of images and lists.
    pub images: ImagesConfig,
    /// Image cache.
    pub cache: CacheConfig,
    /// Delayed deletion.
    pub scrubber: ScrubberConfig,
    /// Limits of copies from other servers.
    pub copies: CopiesConfig,
    /// Kind of authentication.
    pub paste: PasteConfig,
    /// Roles, ownership and trusted proxies.
    pub identity: IdentityConfig,
    /// Policy files.
    pub rules: RulesConfig,
    /// Connection to Keystone.
    pub keystone: KeystoneConfig,
    /// Registry of image records.
    pub registry: RegistryConfig,
    /// Logging.
    pub log: LogConfig,
    /// Stores in use, and the file store.
    pub store: StoreConfig,
    /// HTTP store, which reads from web servers.
    pub http_store: HttpStoreConfig,
    /// Filters for URIs that clients name.
    pub sources: SourcesConfig,
    /// S3 store.
    pub s3: S3Config,
    /// Swift store.
    pub swift: SwiftConfig,
    /// Accounts with which the Swift store can authenticate.
    pub swift_accounts: Vec<SwiftAccount>,
    /// Health check.
    pub healthcheck: HealthcheckConfig,
}

impl Config {
    /// Reads every option from a file, else takes its default. Reports invalid values.
    ///
    /// # Errors
    /// Returns [`ConfigError::BadValue`] if the default of an option cannot be read either.
    pub(crate) fn read(values: &Values<'_>) -> Result<Self, ConfigError> {
        let mut config = Self {
            listen: ListenConfig::read(values)?,
            http: HttpConfig::read(values)?,
            data: DataConfig::read(values)?,
            images: ImagesConfig::read(values)?,
            cache: CacheConfig::read(values)?,
            scrubber: ScrubberConfig::read(values)?,
            copies: CopiesConfig::read(values)?,
            paste: PasteConfig::read(values)?,
            identity: IdentityConfig::read(values)?,
            rules: RulesConfig::read(values)?,
            keystone: KeystoneConfig::read(values)?,
            registry: RegistryConfig::read(values)?,
            log: LogConfig::read(values)?,
            store: StoreConfig::read(values)?,
            http_store: HttpStoreConfig::read(values)?,
            sources: SourcesConfig::read(values)?,
            s3: S3Config::read(values)?,
            swift: SwiftConfig::read(values)?,
            swift_accounts: Vec::new(),
            healthcheck: HealthcheckConfig::read(values)?,
        };
        config.use_default_store(values);
        config.keystone.build_url(values);
        if config.store.has("swift") {
            let takes_images = config.store.default_store == "swift";
            config.swift_accounts =
                swift_accounts::swift_accounts(&config.swift, takes_images, values);
        }
        Ok(config)
    }

    /// Adds the default store to the stores in use, unless the file sets `stores`.
    fn use_default_store(&mut self, values: &Values<'_>) {
        let key = values.declared("glance_store", "stores");
        let is_set = key.is_some_and(|key| values.find(&key).is_some());
        let store = &mut self.store;
        if !is_set && !store.has(store.default_store) {
            store.stores.push(store.default_store.to_owned());
        }
    }
}

/// Returns all options in the order of the sample file.
pub(crate) fn groups() -> Vec<OptionGroup> {
    vec![
        ListenConfig::group(),
        HttpConfig::group(),
        DataConfig::group(),
        ImagesConfig::group(),
        CacheConfig::group(),
        ScrubberConfig::group(),
        CopiesConfig::group(),
        IdentityConfig::group(),
        RulesConfig::group(),
        RegistryConfig::group(),
        LogConfig::group(),
        StoreConfig::group(),
        HttpStoreConfig::group(),
        SourcesConfig::group(),
        S3Config::group(),
        SwiftConfig::group(),
        HealthcheckConfig::group(),
        PasteConfig::group(),
        KeystoneConfig::group(),
    ]
}
