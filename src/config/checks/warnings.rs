//! Warnings about values that are valid but risky, and about options that are set twice.

use super::conflict::line_of;
use crate::config::declare::OptionGroup;
use crate::config::error::Warning;
use crate::config::ini::DEFAULT;
use crate::config::options::{IdentityMode, store_named};
use crate::config::root::Config;
use crate::config::values::Values;

/// Returns warnings about values that are valid but risky.
pub(crate) fn warn_risky(config: &Config, values: &Values<'_>) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |section, name, message: String| {
        let position = values.position(line_of(values, section, name));
        warnings.push(Warning { position, message });
    };
    let host = config.listen.bind_host;
    if !host.is_loopback() && config.paste.identity() == IdentityMode::Disabled {
        warn(
            DEFAULT,
            "bind_host",
            format!(
                "authentication is off: every client that reaches {host} can read, change and \
                 delete every image; set [paste_deploy] flavor"
            ),
        );
    }
    if config
        .identity
        .trusted_proxies
        .iter()
        .any(|net| net.prefix_len() == 0)
    {
        let message = "with the flavor trusted-auth, every client can claim any identity".into();
        warn(DEFAULT, "trusted_proxies", message);
    }
    if config.keystone.insecure {
        let message =
            "anyone between this server and Keystone can read the password and forge identities";
        warn("keystone_authtoken", "insecure", message.into());
    }
    let admin = config.listen.admin_bind_host;
    if !admin.is_loopback() && config.listen.admin_bind_port != 0 {
        warn(
            DEFAULT,
            "admin_bind_host",
            format!("every client that reaches {admin} can read /metrics"),
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
            format!("this release has no store {name}"),
        );
    }
    if config.http_store.https_insecure {
        warn(
            "glance_store",
            "https_insecure",
            "anyone between this server and a web server can change images".into(),
        );
    }
    if !config.images.enable_v1_api {
        warn(
            DEFAULT,
            "enable_v1_api",
            "no API is served: this release has v1 only".into(),
        );
    }
    warnings
}

/// Returns a warning for each value that is ignored because the option is also set by another name.
pub(crate) fn warn_duplicates(values: &Values<'_>, groups: &[OptionGroup]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for key in groups
        .iter()
        .flat_map(|group| &group.options)
        .map(|option| option.key)
    {
        let mut set = key
            .spellings()
            .filter_map(|(section, name)| values.entry(section, name));
        // The first name that is set is the one in effect, see `OptionKey::spellings`.
        let Some(used) = set.next() else { continue };
        for unused in set {
            let message = format!(
                "[{}] {} is ignored: [{}] {} in line {} sets the same option",
                unused.section, unused.key, used.section, used.key, used.line
            );
            warnings.push(Warning {
                position: values.position(unused.line),
                message,
            });
        }
    }
    warnings
}
