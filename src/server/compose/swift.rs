//! Opens the Swift store.

use std::sync::Arc;
use std::time::Duration;

use super::settings;
use crate::config::{self, Config, SwiftConfig};
use crate::http_client::{AddressPolicy, HttpClient, HttpClientOptions, TlsOptions, client_config};
use crate::keystone::Interface;
use crate::log;
use crate::md5::HashEngine;
use crate::server::start_error::StartError;
use crate::store::{Store, SwiftEndpoint, SwiftOptions, SwiftResources, SwiftStore};

/// Idle time after which a connection to Swift is closed. Shorter than Swift's own 60 s, so that the
/// server never sends a request on a connection that Swift is closing.
const KEEP_IDLE: Duration = Duration::from_secs(30);

const MIB: u64 = 1 << 20;

/// Opens the Swift store.
///
/// # Errors
/// When an option or a certificate file is wrong. Swift is not contacted.
pub(in crate::server) fn open_swift(
    config: &Config,
    hashes: &HashEngine,
) -> Result<Arc<dyn Store>, StartError> {
    let swift = &config.swift;
    let tls = TlsOptions {
        ca_file: swift.swift_store_cacert.clone(),
        insecure: swift.swift_store_auth_insecure,
    };
    let tls = client_config(&tls).map_err(StartError::SwiftTls)?;
    let client = |address_policy| {
        HttpClient::new(HttpClientOptions {
            connect_timeout: swift.swift_store_connect_timeout,
            answer_timeout: swift.swift_store_timeout,
            idle_timeout: KEEP_IDLE,
            address_policy,
            tls: Arc::clone(&tls),
        })
    };
    // Requests to addresses that clients name use a client of their own, which refuses private
    // addresses. The configured Swift may have one.
    let resources = SwiftResources {
        client: client(AddressPolicy::Any),
        untrusted: client(AddressPolicy::Filtered(settings::address_filter(config))),
        hashes: hashes.clone(),
    };
    let store = SwiftStore::new(options(config), resources)?;
    tracing::info!(
        target: log::STARTUP,
        accounts = config.swift_accounts.len(),
        reference = swift.default_swift_reference,
        container = swift.swift_store_container,
        "Swift store ready"
    );
    Ok(Arc::new(store))
}

fn options(config: &Config) -> SwiftOptions {
    let swift = &config.swift;
    SwiftOptions {
        accounts: config.swift_accounts.clone(),
        default_reference: swift.default_swift_reference.clone(),
        endpoint: endpoint(swift),
        renew_before: swift.swift_store_expire_soon_interval,
        container: swift.swift_store_container.clone(),
        make_container: swift.swift_store_create_container_on_put,
        containers_seed: swift.swift_store_multiple_containers_seed,
        large_object_bytes: swift.swift_store_large_object_size * MIB,
        segment_bytes: swift.swift_store_large_object_chunk_size * MIB,
        manifest: swift.swift_store_large_object_manifest,
        verify_segments: swift.swift_store_verify_segments,
        most_resumes: swift.swift_store_retry_get_count,
        stall: swift.swift_store_timeout,
    }
}

fn endpoint(swift: &SwiftConfig) -> SwiftEndpoint {
    SwiftEndpoint {
        service_type: swift.swift_store_service_type.clone(),
        region: swift.swift_store_region.clone(),
        interface: match swift.swift_store_endpoint_type {
            config::EndpointType::Public => Interface::Public,
            config::EndpointType::Internal => Interface::Internal,
            config::EndpointType::Admin => Interface::Admin,
        },
        url: swift.swift_store_endpoint.clone(),
    }
}
