//! Options that are sound but may surprise.

use super::conflict::line_of;
use crate::config::declare::OptionGroup;
use crate::config::error::Warning;
use crate::config::ini::DEFAULT;
use crate::config::options::{IdentityMode, store_named};
use crate::config::root::Config;
use crate::config::values::Values;

/// Warnings about values that are sound.
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
        let Some(used) = set.next() else { continue };
        for unused in set {
            let message = format!(
                "[{}] {} is passed over: [{}] {} in line {} is the same option",
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
