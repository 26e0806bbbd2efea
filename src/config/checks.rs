//! Rules between options, and options that are sound but may surprise.

use std::time::Duration;

use crate::config::declare::{Group, Key};
use crate::config::error::{ConfigError, Warning};
use crate::config::ini::DEFAULT;
use crate::config::options::{Config, IdentityMode, RegistryBackend, store_named};
use crate::config::values::Values;

/// Checks what no single option can check for itself.
///
/// # Errors
/// [`ConfigError::BadValue`] at the option that does not fit the others.
pub(crate) fn check(config: &Config, values: &Values<'_>) -> Result<(), ConfigError> {
    let listen = &config.listen;
    if let Some(admin) = listen.admin_address() {
        let same_host = admin.ip() == listen.bind_host
            || admin.ip().is_unspecified()
            || listen.bind_host.is_unspecified();
        if same_host && admin.port() == listen.bind_port {
            let wanted = "another port than bind_port";
            return Err(misfit(
                values,
                (DEFAULT, "admin_bind_port"),
                admin.port(),
                wanted,
            ));
        }
    }
    let http = &config.http;
    if http.max_header_line > http.max_header_size {
        let wanted = format!("at most max_header_size, {}", http.max_header_size);
        return Err(misfit(
            values,
            (DEFAULT, "max_header_line"),
            http.max_header_line,
            &wanted,
        ));
    }
    check_registry(config, values)?;
    check_default_store(config, values)?;
    check_keystone(config, values)
}

/// Below it uploads that are alive would not always have shown it.
const LEAST_ABANDONED_AFTER: Duration = Duration::from_secs(30);

/// A registry elsewhere needs an address.
fn check_registry(config: &Config, values: &Values<'_>) -> Result<(), ConfigError> {
    let registry = &config.registry;
    if let Some(after) = registry.upload_abandoned_after
        && after < LEAST_ABANDONED_AFTER
    {
        let option = (DEFAULT, "upload_abandoned_after");
        let wanted = format!("{} seconds at least, or 0", LEAST_ABANDONED_AFTER.as_secs());
        return Err(misfit(values, option, after.as_secs(), &wanted));
    }
    let (name, given, wanted) = match registry.backend() {
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
        _ => return Ok(()),
    };
    Err(misfit(values, (DEFAULT, name), given, wanted))
}

fn check_default_store(config: &Config, values: &Values<'_>) -> Result<(), ConfigError> {
    let store = &config.store;
    let (default_store, stores) = (store.default_store, store.stores.join(","));
    if store.has(default_store) {
        return check_s3(config, values);
    }
    // At the option that the operator wrote.
    let option = ("glance_store", "default_store");
    if line_of(values, option.0, option.1) != 0 {
        let wanted = format!("one of stores, {stores}");
        return Err(misfit(values, option, default_store, &wanted));
    }
    let wanted = format!("a list with {default_store} in it");
    Err(misfit(values, ("glance_store", "stores"), stores, &wanted))
}

/// An S3 store cannot do without some options.
fn check_s3(config: &Config, values: &Values<'_>) -> Result<(), ConfigError> {
    let s3 = &config.s3;
    let needed = [
        ("s3_store_host", s3.s3_store_host.is_none(), "a host"),
        (
            "s3_store_access_key",
            s3.s3_store_access_key.is_empty(),
            "an access key",
        ),
        (
            "s3_store_secret_key",
            s3.s3_store_secret_key.is_empty(),
            "a secret key",
        ),
        (
            "s3_store_bucket",
            s3.s3_store_bucket.is_empty(),
            "a bucket's name",
        ),
    ];
    let missing = needed.iter().find(|(_, is_missing, _)| *is_missing);
    if let Some((name, _, what)) = missing.filter(|_| config.store.has("s3")) {
        let wanted = format!("{what}, because s3 is in stores");
        return Err(misfit(values, ("glance_store", name), "", &wanted));
    }
    let (part_mib, memory_mib) = (
        s3.s3_store_large_object_chunk_size,
        s3.s3_store_upload_memory,
    );
    if part_mib > memory_mib {
        let name = ("glance_store", "s3_store_large_object_chunk_size");
        let wanted = format!("at most s3_store_upload_memory, {memory_mib}");
        return Err(misfit(values, name, part_mib, &wanted));
    }
    check_swift(config, values)
}

/// New images that go to Swift need somebody to log in as.
fn check_swift(config: &Config, values: &Values<'_>) -> Result<(), ConfigError> {
    let reference = &config.swift.default_swift_reference;
    let mut accounts = config.swift_accounts.iter();
    if config.store.default_store != "swift"
        || accounts.any(|account| account.reference == *reference)
    {
        return Ok(());
    }
    match &config.swift.swift_store_config_file {
        Some(file) => {
            let wanted = format!("a section of {}", file.display());
            let option = ("glance_store", "default_swift_reference");
            Err(misfit(values, option, reference, &wanted))
        }
        None => Err(misfit(
            values,
            ("glance_store", "default_store"),
            "swift",
            "a store that is set up: swift wants swift_store_auth_address, swift_store_user and swift_store_key",
        )),
    }
}

/// Keystone cannot be asked without an address and a user.
fn check_keystone(config: &Config, values: &Values<'_>) -> Result<(), ConfigError> {
    let keystone = &config.keystone;
    let neither = |one: &str, other: &str| one.is_empty() && other.is_empty();
    let needed = [
        (
            "auth_url",
            keystone.auth_url.is_none(),
            "the URL of Keystone",
        ),
        (
            "username",
            neither(&keystone.username, &keystone.user_id),
            "the node's own user",
        ),
        ("password", keystone.password.is_empty(), "its password"),
        (
            "project_name",
            neither(&keystone.project_name, &keystone.project_id),
            "its project",
        ),
    ];
    let missing = needed.iter().find(|(_, is_missing, _)| *is_missing);
    match missing.filter(|_| config.paste.identity() == IdentityMode::Keystone) {
        None => Ok(()),
        Some((name, _, what)) => {
            let wanted = format!("{what}, because of [paste_deploy] flavor = keystone");
            Err(misfit(values, ("keystone_authtoken", name), "", &wanted))
        }
    }
}

/// Warnings about values that are sound.
pub(crate) fn warn_surprising(config: &Config, values: &Values<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |section, name, message: String| {
        let place = values.place(line_of(values, section, name));
        warnings.push(Warning { place, message });
    };
    let host = config.listen.bind_host;
    if !host.is_loopback() && config.paste.identity() == IdentityMode::Nobody {
        warn(
            DEFAULT,
            "bind_host",
            format!(
                "every caller that reaches {host} may read, change and delete every image: [paste_deploy] flavor names \
                 no way to know who is asking"
            ),
        );
    }
    if config
        .identity
        .trusted_proxies
        .iter()
        .any(|net| net.prefix_len() == 0)
    {
        let message = "everybody may say to be anybody with the flavor trusted-auth".into();
        warn(DEFAULT, "trusted_proxies", message);
    }
    if config.keystone.insecure {
        let message = "whoever stands between may read the password and answer for Keystone";
        warn("keystone_authtoken", "insecure", message.into());
    }
    let admin = config.listen.admin_bind_host;
    if !admin.is_loopback() && config.listen.admin_bind_port != 0 {
        warn(
            DEFAULT,
            "admin_bind_host",
            format!("/metrics is open to everybody who reaches {admin}"),
        );
    }
    for name in config
        .store
        .stores
        .iter()
        .filter(|name| store_named(name).is_none())
    {
        warn(
            "glance_store",
            "stores",
            format!("there is no store {name} in this release"),
        );
    }
    if config.http_store.https_insecure {
        warn(
            "glance_store",
            "https_insecure",
            "whoever is between here and a web server can change images on their way".into(),
        );
    }
    if !config.images.enable_v1_api {
        warn(
            DEFAULT,
            "enable_v1_api",
            "no API is left to serve: this release has v1 only".into(),
        );
    }
    warnings
}

/// A warning for each value that is passed over because another spelling of the option is set as well.
pub(crate) fn warn_twice(values: &Values<'_>, groups: &[Group]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for key in groups
        .iter()
        .flat_map(|group| &group.options)
        .map(|option| option.key)
    {
        let mut set = key
            .places()
            .filter_map(|(section, name)| values.entry(section, name));
        let Some(used) = set.next() else { continue };
        for unused in set {
            let message = format!(
                "[{}] {} is passed over: [{}] {} in line {} is the same option",
                unused.section, unused.key, used.section, used.key, used.line
            );
            warnings.push(Warning {
                place: values.place(unused.line),
                message,
            });
        }
    }
    warnings
}

/// The error of a value that does not fit other options, at its line.
pub(crate) fn misfit(
    values: &Values<'_>,
    (section, name): (&'static str, &'static str),
    given: impl ToString,
    wanted: &str,
) -> ConfigError {
    ConfigError::BadValue {
        place: values.place(line_of(values, section, name)),
        option: format!("[{section}] {name}"),
        given: given.to_string(),
        wanted: wanted.to_owned(),
    }
}

/// The line an option is set in; 0 when it has its default.
fn line_of(values: &Values<'_>, section: &'static str, name: &'static str) -> usize {
    let key = values.declared(section, name).unwrap_or(Key {
        section,
        name,
        aliases: &[],
        default: "",
    });
    values.find(&key).map_or(0, |entry| entry.line)
}
