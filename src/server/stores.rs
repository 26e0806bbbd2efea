//! The configured stores.

use std::sync::Arc;

use super::settings;
use super::start_error::StartError;
use crate::config::{self, Config};
use crate::log;
use crate::net::outgoing::{NamedReach, TlsOptions};
use crate::store::{
    FileIo, FileStore, FileStoreOptions, HttpStore, HttpStoreOptions, Store, Stores,
};
use crate::transfer::disk::Disk;

/// Opens every store that is in use.
pub(super) fn open_stores(config: &Config, disk: Disk) -> Result<Stores, StartError> {
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    if config.store.has("file") {
        stores.push(open_file(config, disk)?);
    }
    if config.store.has("http") {
        stores.push(Arc::new(HttpStore::new(http_store_options(config))?));
    }
    let default_store = config.store.default_store;
    Stores::new(stores, default_store)
        .ok_or_else(|| StartError::DefaultStore(default_store.to_owned()))
}

fn open_file(config: &Config, disk: Disk) -> Result<Arc<dyn Store>, StartError> {
    let engine = disk.backend().as_str();
    let file = FileStore::open(file_store_options(config), disk)?;
    tracing::info!(
        target: log::STARTUP,
        folder = %config.store.filesystem_store_datadir.display(),
        engine,
        direct_writes = file.writes_direct(),
        "file store open"
    );
    Ok(Arc::new(file))
}

fn file_store_options(config: &Config) -> FileStoreOptions {
    FileStoreOptions {
        folder: config.store.filesystem_store_datadir.clone(),
        file_mode: config.store.filesystem_store_file_perm,
        io: match config.store.filesystem_store_io {
            config::StoreIo::Auto => FileIo::Auto,
            config::StoreIo::Direct => FileIo::Direct,
            config::StoreIo::Buffered => FileIo::Buffered,
        },
        window_bytes: config.data.upload_window_size,
    }
}

fn http_store_options(config: &Config) -> HttpStoreOptions {
    let http = &config.http_store;
    let own = [
        Some(config.listen.api_address()),
        config.listen.admin_address(),
    ];
    HttpStoreOptions {
        connect_timeout: http.http_store_connect_timeout,
        answer_timeout: http.http_store_answer_timeout,
        stall_timeout: http.http_store_stall_timeout,
        max_redirects: http.http_store_max_redirects,
        rules: settings::source_rules(config),
        reach: NamedReach {
            private: config.sources.allow_private_addresses,
            own: own.into_iter().flatten().collect(),
        },
        tls: TlsOptions {
            ca_file: http.https_ca_certificates_file.clone(),
            insecure: http.https_insecure,
        },
    }
}
