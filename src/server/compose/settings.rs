//! Derives the settings of components from the configuration.
//!
//! A component that needs options of one section only is given them by the file that opens it. The
//! functions here serve components that combine several sections, or values that several
//! components need.

use std::num::NonZero;
use std::thread::available_parallelism;

use crate::api::{ApiServerSettings, ApiSettings, BodyTimeouts};
use crate::config::Config;
use crate::http_client::AddressFilter;
use crate::image::{AllowDenyList, FormatRules, OwnerLimits, SourceRules};
use crate::net::ConnectionSettings;
use crate::service::{AuditOptions, Limits};

/// Returns the limits and timeouts of a client's connection.
pub(in crate::server) fn connection(config: &Config) -> ConnectionSettings {
    ConnectionSettings {
        stall: config.http.client_socket_timeout,
        min_rate_bytes: config.http.client_min_rate,
        linger: config.http.client_linger_timeout,
        keep_alive: config.http.http_keepalive,
        max_head_bytes: config.http.max_header_size,
        all_read_buffers_bytes: config.data.read_memory_bytes(),
    }
}

/// Returns the settings that every API has in common.
pub(in crate::server) fn api_server(config: &Config, access_log: bool) -> ApiServerSettings {
    ApiServerSettings {
        max_header_line_bytes: config.http.max_header_line,
        max_request_id_bytes: config.http.max_request_id_length,
        access_log,
    }
}

/// Returns the settings of the v1 and the registry API.
pub(in crate::server) fn api(config: &Config) -> ApiSettings {
    ApiSettings {
        timeouts: BodyTimeouts {
            stall: config.http.client_socket_timeout,
            min_rate_bytes: config.http.client_min_rate,
        },
        public_endpoint: config.listen.public_endpoint.clone(),
        disable_by_file: config.healthcheck.disable_by_file_path.clone(),
        manages_cache: config.paste.manages_cache(),
    }
}

/// Returns the quotas of an owner.
pub(in crate::server) fn owner_limits(config: &Config) -> OwnerLimits {
    OwnerLimits {
        bytes: config.images.user_storage_quota,
        images: config.images.user_image_quota,
    }
}

/// Returns the name of this server in the records of its uploads: `node_name`, or the host name and
/// the port.
pub(in crate::server) fn node_name(config: &Config) -> String {
    if !config.registry.node_name.is_empty() {
        return config.registry.node_name.clone();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}:{}", host.trim(), config.listen.bind_port)
}

/// Returns which external locations clients may name.
pub(in crate::server) fn source_rules(config: &Config) -> SourceRules {
    let sources = &config.sources;
    SourceRules {
        schemes: AllowDenyList {
            allowed: sources.allowed_schemes.clone(),
            disallowed: sources.disallowed_schemes.clone(),
        },
        hosts: AllowDenyList {
            allowed: sources.allowed_hosts.clone(),
            disallowed: sources.disallowed_hosts.clone(),
        },
        ports: AllowDenyList {
            allowed: sources.allowed_ports.clone(),
            disallowed: sources.disallowed_ports.clone(),
        },
    }
}

/// Returns the filter for addresses of external locations. The listeners of this server are always
/// refused, since a client could otherwise send requests in the server's name.
pub(in crate::server) fn address_filter(config: &Config) -> AddressFilter {
    let own = [
        Some(config.listen.api_address()),
        config.listen.admin_address(),
    ];
    AddressFilter {
        private: config.sources.allow_private_addresses,
        own: own.into_iter().flatten().collect(),
    }
}

/// Returns the limits that the service enforces.
pub(in crate::server) fn limits(config: &Config) -> Limits {
    let quota = |quota: Option<u64>| {
        quota.map_or(usize::MAX, |quota| {
            usize::try_from(quota).unwrap_or(usize::MAX)
        })
    };
    let images = &config.images;
    Limits {
        node_name: node_name(config),
        image_size_cap_bytes: images.image_size_cap,
        property_quota: quota(images.image_property_quota),
        member_quota: quota(images.image_member_quota),
        owner: owner_limits(config),
        default_page: images.limit_param_default,
        largest_page: images.api_limit_max,
        delayed_delete: config.scrubber.delayed_delete,
        scrub_after: config.scrubber.scrub_time,
        scrubs: config.scrubber.scrub_pool_size,
        verify_downloads: config.data.verify_downloads,
        upload_window_bytes: config.data.upload_window_size,
        formats: FormatRules {
            disk_formats: images.disk_formats.clone(),
            container_formats: images.container_formats.clone(),
        },
        source_rules: source_rules(config),
        copies: config.copies.copy_from_limit,
        copy_min_rate_bytes: config.copies.copy_from_min_rate,
    }
}

/// Returns how stored data are compared with their checksums, or `None` if they are not.
pub(in crate::server) fn audit(config: &Config) -> Option<AuditOptions> {
    let interval = config.data.verify_interval?;
    let rate_bytes = config.data.verify_rate;
    (rate_bytes > 0).then_some(AuditOptions {
        interval,
        rate_bytes,
    })
}

/// Returns the value of an option for which zero means the number of cores.
pub(in crate::server) fn or_cores(option: usize) -> usize {
    match option {
        0 => available_parallelism().map_or(1, NonZero::get),
        number => number,
    }
}
