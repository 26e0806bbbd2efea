//! Opens the configured stores.

use std::sync::Arc;

use super::settings;
use super::swift::open_swift;
use crate::config::{self, Config};
use crate::http_client::TlsOptions;
use crate::log;
use crate::md5::HashEngine;
use crate::server::start_error::StartError;
use crate::store::{
    BucketUrl, Checksums, FileIo, FileStore, FileStoreOptions, HttpStore, HttpStoreOptions,
    S3Store, S3StoreOptions, Store, Stores,
};
use crate::transfer::disk::Disk;

/// Opens every enabled store.
///
/// # Errors
/// [`StartError`] for the first store that cannot be opened, or if the default store is not enabled.
pub(in crate::server) fn open_stores(
    config: &Config,
    disk: Disk,
    hashes: &HashEngine,
) -> Result<Stores, StartError> {
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    if config.store.has("file") {
        stores.push(open_file(config, disk)?);
    }
    if config.store.has("http") {
        stores.push(Arc::new(HttpStore::new(http_store_options(config))?));
    }
    if config.store.has("s3") {
        stores.push(open_s3(config, hashes)?);
    }
    if config.store.has("swift") {
        stores.push(open_swift(config, hashes)?);
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
        names_by = if file.links_names() { "link" } else { "rename" },
        "file store open"
    );
    Ok(Arc::new(file))
}

fn open_s3(config: &Config, hashes: &HashEngine) -> Result<Arc<dyn Store>, StartError> {
    let options = s3_store_options(&config.s3);
    tracing::info!(
        target: log::STARTUP,
        endpoint = options.endpoint,
        bucket = options.bucket,
        "S3 store ready"
    );
    Ok(Arc::new(S3Store::new(options, hashes.clone())?))
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
    HttpStoreOptions {
        connect_timeout: http.http_store_connect_timeout,
        answer_timeout: http.http_store_answer_timeout,
        stall_timeout: http.http_store_stall_timeout,
        max_discarded_bytes: http.http_store_max_discard << 20,
        max_redirects: http.http_store_max_redirects,
        rules: settings::source_rules(config),
        address_filter: settings::address_filter(config),
        tls: TlsOptions {
            ca_file: http.https_ca_certificates_file.clone(),
            insecure: http.https_insecure,
        },
    }
}

fn s3_store_options(s3: &config::S3Config) -> S3StoreOptions {
    S3StoreOptions {
        endpoint: s3.s3_store_host.clone().unwrap_or_default(),
        region: s3.s3_store_region_name.clone(),
        access_key: s3.s3_store_access_key.clone(),
        secret_key: s3.s3_store_secret_key.clone(),
        bucket: s3.s3_store_bucket.clone(),
        bucket_url: match s3.s3_store_bucket_url_format {
            config::S3BucketUrl::Auto => BucketUrl::Auto,
            config::S3BucketUrl::Path => BucketUrl::Path,
            config::S3BucketUrl::Virtual => BucketUrl::Virtual,
        },
        creates_bucket: s3.s3_store_create_bucket_on_put,
        single_put_bytes: s3.single_put_bytes(),
        part_bytes: s3.part_bytes(),
        parts_at_once: s3.s3_store_thread_pools,
        upload_memory_bytes: s3.upload_memory_bytes(),
        checksums: match s3.s3_store_checksums {
            config::S3Checksums::WhenRequired => Checksums::WhenRequired,
            config::S3Checksums::WhenSupported => Checksums::WhenSupported,
        },
        verify_uploads: s3.s3_store_verify_uploads,
        tls: TlsOptions {
            ca_file: s3.s3_store_cacert.clone(),
            insecure: false,
        },
        connect_timeout: s3.s3_store_connect_timeout,
        response_timeout: s3.s3_store_response_timeout,
        stall_timeout: s3.s3_store_stall_timeout,
    }
}
