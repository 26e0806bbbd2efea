//! Warnings about values that are valid but risky, and about options that are set twice.

use super::conflict::line_of;
use crate::config::declare::OptionGroup;
use crate::config::error::Warning;
use crate::config::ini::DEFAULT;
use crate::config::options::{IdentityMode, store_named};
use crate::config::root::Config;
use crate::config::values::Values;

/// An option and the warning about its value.
type Risk = (&'static str, &'static str, String);

/// Returns warnings about values that are valid but risky.
pub(crate) fn warn_risky(config: &Config, values: &Values<'_>) -> Vec<Warning> {
    let risks = access_risks(config)
        .into_iter()
        .chain(transport_risks(config))
        .chain(useless_values(config));
    risks
        .map(|(section, name, message)| Warning {
            position: values.position(line_of(values, section, name)),
            message,
        })
        .collect()
}

/// Returns settings that let unexpected clients in.
fn access_risks(config: &Config) -> Vec<Risk> {
    let mut risks = Vec::new();
    let host = config.listen.bind_host;
    if !host.is_loopback() && config.paste.identity() == IdentityMode::Disabled {
        let message = format!(
            "authentication is off: every client that reaches {host} can read, change and \
             delete every image; set [paste_deploy] flavor"
        );
        risks.push((DEFAULT, "bind_host", message));
    }
    let mut proxies = config.identity.trusted_proxies.iter();
    if proxies.any(|net| net.prefix_len() == 0) {
        let message = "with the flavor trusted-auth, every client can claim any identity";
        risks.push((DEFAULT, "trusted_proxies", message.to_owned()));
    }
    let admin = config.listen.admin_bind_host;
    if !admin.is_loopback() && config.listen.admin_bind_port != 0 {
        let message = format!("every client that reaches {admin} can read /metrics");
        risks.push((DEFAULT, "admin_bind_host", message));
    }
    risks
}

/// Returns settings that turn off the verification of other servers.
fn transport_risks(config: &Config) -> Vec<Risk> {
    let mut risks = Vec::new();
    if config.keystone.insecure {
        let message =
            "anyone between this server and Keystone can read the password and forge identities";
        risks.push(("keystone_authtoken", "insecure", message.to_owned()));
    }
    if config.http_store.https_insecure {
        let message = "anyone between this server and a web server can change images";
        risks.push(("glance_store", "https_insecure", message.to_owned()));
    }
    risks
}

/// Returns settings that leave the server without a store or an API that the operator expects.
fn useless_values(config: &Config) -> Vec<Risk> {
    let stores = config.store.stores.iter();
    let unknown = stores.filter(|name| store_named(name).is_none());
    let mut risks: Vec<Risk> = unknown
        .map(|name| {
            let message = format!("this release has no store {name}");
            ("glance_store", "stores", message)
        })
        .collect();
    if !config.images.enable_v1_api {
        let message = "no API is served: this release has v1 only";
        risks.push((DEFAULT, "enable_v1_api", message.to_owned()));
    }
    risks
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
