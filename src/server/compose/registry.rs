//! Opens the configured registry: embedded, remote or in etcd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::settings;
use crate::config::{Config, RegistryBackend};
use crate::http_client::{TlsOptions, client_config};
use crate::log;
use crate::registry::{
    EmbeddedOptions, EmbeddedRegistry, Registry, RemoteError, RemoteOptions, RemoteRegistry,
};
use crate::runtime;
use crate::server::start_error::StartError;

/// The first and the longest pause between two checks whether a remote registry is available.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Opens the configured registry. Waits up to `registry_start_timeout` for a remote one.
///
/// # Errors
/// [`StartError`], among others when another process has an embedded registry open.
pub fn open_registry(config: &Config) -> Result<Arc<dyn Registry>, StartError> {
    match config.registry.backend() {
        RegistryBackend::Embedded => open_embedded(config),
        RegistryBackend::Remote => open_remote(config),
        RegistryBackend::Etcd => open_etcd(config),
    }
}

fn open_embedded(config: &Config) -> Result<Arc<dyn Registry>, StartError> {
    let folder = &config.registry.registry_dir;
    let registry = EmbeddedRegistry::open(&EmbeddedOptions {
        folder: folder.clone(),
        cache_bytes: config.registry.registry_cache_size,
        flush_limit: config.registry.registry_flush_timeout,
        reserve_bytes: config.registry.registry_reserve_size,
        max_deleted_images: config.registry.registry_deleted_images_per_owner,
        owner_limits: settings::owner_limits(config),
    })?;
    let images = registry.image_count_when_opened();
    tracing::info!(target: log::STARTUP, images, folder = %folder.display(), "registry open");
    Ok(Arc::new(registry))
}

fn open_remote(config: &Config) -> Result<Arc<dyn Registry>, StartError> {
    let options = &config.registry;
    let address = options.remote_address();
    let registry: Arc<dyn Registry> = Arc::new(RemoteRegistry::new(&RemoteOptions {
        address: address.clone(),
        timeout: options.registry_client_timeout,
        owner_limits: settings::owner_limits(config),
        tls: client_config(&TlsOptions {
            ca_file: options.registry_client_ca_file.clone(),
            insecure: options.registry_client_insecure,
        })
        .map_err(RemoteError::Tls)?,
    })?);
    let images = await_registry(&*registry, options.registry_start_timeout)?;
    tracing::info!(target: log::STARTUP, images, address, "registry server in use");
    Ok(registry)
}

#[cfg(not(feature = "etcd"))]
fn open_etcd(_config: &Config) -> Result<Arc<dyn Registry>, StartError> {
    Err(StartError::NoEtcd)
}

#[cfg(feature = "etcd")]
fn open_etcd(config: &Config) -> Result<Arc<dyn Registry>, StartError> {
    use crate::registry::{EtcdOptions, EtcdRegistry, EtcdTls};

    let options = &config.registry;
    let registry: Arc<dyn Registry> = Arc::new(EtcdRegistry::start(EtcdOptions {
        endpoints: options.etcd_endpoints.clone(),
        prefix: options.etcd_prefix.clone(),
        user: options.etcd_user.clone(),
        password: options.etcd_password.expose().to_owned(),
        tls: EtcdTls {
            ca_file: options.etcd_ca_file.clone(),
            cert_file: options.etcd_cert_file.clone(),
            key_file: options.etcd_key_file.clone(),
        },
        timeout: options.registry_client_timeout,
        read_limit: options.etcd_read_limit,
        owner_limits: settings::owner_limits(config),
    })?);
    let images = await_registry(&*registry, options.registry_start_timeout)?;
    let endpoints = options.etcd_endpoints.join(",");
    let prefix = &options.etcd_prefix;
    tracing::info!(target: log::STARTUP, images, endpoints, prefix, "registry in etcd");
    Ok(registry)
}

/// Waits until a remote registry responds, and returns the number of images that are not deleted.
///
/// # Errors
/// [`StartError::RegistryAway`] when it has not responded within `limit`.
fn await_registry(registry: &dyn Registry, limit: Duration) -> Result<u64, StartError> {
    let runtime = runtime::current_thread()?;
    // On a thread of its own, because after a failed reload the caller runs in a runtime, where
    // `block_on` would panic.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || runtime.block_on(poll_until_available(registry, limit)));
        let panicked = |_| StartError::RegistryAway("the check panicked, see the log".to_owned());
        waiting.join().map_err(panicked)?
    })
}

async fn poll_until_available(registry: &dyn Registry, limit: Duration) -> Result<u64, StartError> {
    let deadline = Instant::now() + limit;
    let mut is_logged = false;
    let mut pause = FIRST_PAUSE;
    loop {
        let error = match registry.check().await {
            Ok(census) => return Ok(census.usage.images),
            Err(error) => error,
        };
        let cause = error.cause().unwrap_or_default();
        if Instant::now() >= deadline {
            return Err(StartError::RegistryAway(format!("{error} ({cause})")));
        }
        // Not logged at first: a registry that is well needs a moment to be read.
        if pause == MAX_PAUSE && !std::mem::replace(&mut is_logged, true) {
            tracing::warn!(%error, cause, "waiting for the registry");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}
