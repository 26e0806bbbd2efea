//! Rules between options, and warnings about valid values that may be risky.
//!
//! A rule is applied only if all of its options have valid values. A default in place of an invalid
//! value says nothing about the operator's file.

mod conflict;
mod identity;
mod stores;
mod warnings;

use std::time::Duration;

use crate::config::ini::DEFAULT;
use crate::config::options::RegistryBackend;
use crate::config::root::Config;
use crate::config::values::Values;
pub(crate) use conflict::conflict;

pub(crate) use stores::disable_unconfigured_stores;
pub(crate) use warnings::{warn_duplicates, warn_risky};

/// Smallest `upload_abandoned_after`. Heartbeats are written every few seconds, so a shorter time
/// could end uploads that are alive.
const LEAST_ABANDONED_AFTER: Duration = Duration::from_secs(30);

/// Reports values that conflict with other options, as [`super::ConfigError::BadValue`] at one of
/// them.
pub(crate) fn check(config: &Config, values: &Values<'_>) {
    check_listeners(config, values);
    check_headers(config, values);
    check_uploads(config, values);
    check_registry(config, values);
    stores::check(config, values);
    identity::check(config, values);
}

/// Reports options that need a feature which this build does not have.
pub(crate) fn check_build(config: &Config, values: &Values<'_>, has_etcd: bool) {
    if config.registry.backend() == RegistryBackend::Etcd && !has_etcd {
        let expected = "embedded or remote: this program was built without etcd. Build it with \
                        cargo build --release --features etcd, which needs protoc (Debian: \
                        protobuf-compiler)";
        values.report(conflict(
            values,
            (DEFAULT, "registry_backend"),
            "etcd",
            expected,
        ));
    }
}

fn check_listeners(config: &Config, values: &Values<'_>) {
    const OPTIONS: [&str; 4] = [
        "bind_host",
        "bind_port",
        "admin_bind_host",
        "admin_bind_port",
    ];
    let listen = &config.listen;
    let Some(admin) = listen
        .admin_address()
        .filter(|_| values.are_valid(&OPTIONS))
    else {
        return;
    };
    let same_host = admin.ip() == listen.bind_host
        || admin.ip().is_unspecified()
        || listen.bind_host.is_unspecified();
    if same_host && admin.port() == listen.bind_port {
        let option = (DEFAULT, "admin_bind_port");
        let expected = "a port other than bind_port";
        values.report(conflict(values, option, admin.port(), expected));
    }
}

fn check_headers(config: &Config, values: &Values<'_>) {
    let http = &config.http;
    let are_valid = values.are_valid(&["max_header_line", "max_header_size"]);
    if are_valid && http.max_header_line > http.max_header_size {
        let expected = format!("at most max_header_size, {}", http.max_header_size);
        let option = (DEFAULT, "max_header_line");
        values.report(conflict(values, option, http.max_header_line, &expected));
    }
}

fn check_uploads(config: &Config, values: &Values<'_>) {
    if let Some(after) = config.registry.upload_abandoned_after
        && after < LEAST_ABANDONED_AFTER
    {
        let option = (DEFAULT, "upload_abandoned_after");
        let expected = format!("at least {} seconds, or 0", LEAST_ABANDONED_AFTER.as_secs());
        values.report(conflict(values, option, after.as_secs(), &expected));
    }
}

/// Reports a remote registry without an address.
fn check_registry(config: &Config, values: &Values<'_>) {
    let registry = &config.registry;
    let (name, given, expected) = match registry.backend() {
        RegistryBackend::Remote if registry.registry_host.is_empty() => (
            "registry_host",
            "",
            "the host of the registry server, because of registry_backend = remote",
        ),
        RegistryBackend::Etcd if registry.etcd_endpoints.is_empty() => (
            "etcd_endpoints",
            "",
            "addresses, because of registry_backend = etcd",
        ),
        RegistryBackend::Etcd if !registry.etcd_prefix.ends_with('/') => (
            "etcd_prefix",
            registry.etcd_prefix.as_str(),
            "a prefix that ends in a slash",
        ),
        _ => return,
    };
    if values.are_valid(&["registry_backend", name]) {
        values.report(conflict(values, (DEFAULT, name), given, expected));
    }
}
