//! [`Config`]: the whole configuration, one field for each struct of options.
//!
//! It stands apart from `options` because it also holds the Swift accounts, which are read from options
//! or from a file of their own.

use crate::config::declare::OptionGroup;
use crate::config::error::ConfigError;
use crate::config::options::{
    CacheConfig, CopiesConfig, DataConfig, HealthcheckConfig, HttpConfig, HttpStoreConfig,
    IdentityConfig, ImagesConfig, KeystoneConfig, ListenConfig, LogConfig, PasteConfig,
    RegistryConfig, RulesConfig, S3Config, ScrubberConfig, SourcesConfig, StoreConfig, SwiftConfig,
};
use crate::config::swift_accounts::{self, SwiftAccount};
use crate::config::values::Values;

/// Everything an operator can set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the servers listen and how they begin and end.
    pub listen: ListenConfig,
    /// Limits of one connection.
    pub http: HttpConfig,
    /// The data folder and the engine that moves bytes.
    pub data: DataConfig,
    /// Limits and formats of images and lists.
    pub images: ImagesConfig,
    /// The image cache.
    pub cache: CacheConfig,
    /// Delayed deletion.
    pub scrubber: ScrubberConfig,
    /// Copies from elsewhere.
    pub copies: CopiesConfig,
    /// How identities are checked.
    pub paste: PasteConfig,
    /// What identities mean here.
    pub identity: IdentityConfig,
    /// What operators allow to whom.
    pub rules: RulesConfig,
    /// The identity service.
    pub keystone: KeystoneConfig,
    /// Where image records are kept.
    pub registry: RegistryConfig,
    /// What is logged, and where to.
    pub log: LogConfig,
    /// The store of image data.
    pub store: StoreConfig,
    /// The store that reads from web servers.
    pub http_store: HttpStoreConfig,
    /// What clients may name as a source.
    pub sources: SourcesConfig,
    /// The S3 store.
    pub s3: S3Config,
    /// The Swift store.
    pub swift: SwiftConfig,
    /// Whom the Swift store can log in as.
    pub swift_accounts: Vec<SwiftAccount>,
    /// What `/healthcheck` looks at.
    pub healthcheck: HealthcheckConfig,
}

impl Config {
    /// Takes every option from the values of a file, else its default. What is wrong is noted.
    ///
    /// # Errors
    /// [`ConfigError::BadValue`] when there is no value to go on with.
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

    /// Where the operator has not said which stores are in use, the one for new images is.
    fn use_default_store(&mut self, values: &Values<'_>) {
        let key = values.declared("glance_store", "stores");
        let is_said = key.is_some_and(|key| values.find(&key).is_some());
        let store = &mut self.store;
        if !is_said && !store.has(store.default_store) {
            store.stores.push(store.default_store.to_owned());
        }
    }
}

/// All options in the order of the sample.
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
