//! Options of Glance that this release does not support and must not ignore silently.
//!
//! Each of them prevents a start, because ignoring it would weaken security or store data elsewhere
//! than the operator expects. `ignored` handles the options that can be ignored.

use crate::config::error::ConfigError;
use crate::config::ini::DEFAULT;
use crate::config::values::Values;

/// An option that prevents a start if its value requests something unsupported.
struct UnsupportedOption {
    /// (section, key)
    option: (&'static str, &'static str),
    /// Returns true if a value, which is never empty, requests something unsupported.
    applies: fn(&str) -> bool,
    /// The reason, and the remedy.
    why: &'static str,
}

const NO_TLS: &str = "\
    TLS listeners are not supported. Terminate TLS in a proxy in front (HAProxy, nginx) and \
    remove this option";
const NO_PIPELINE: &str = "\
    pipelines are not supported, so callers would not be identified. Remove this option and \
    select the kind of authentication with [paste_deploy] flavor";
const NO_DATA_API: &str = "\
    not supported. Remove this option; a registry server is used if registry_host names one";
const NO_DATABASE: &str = "\
    SQL databases are not supported: the registry is stored in registry_dir, in etcd or by \
    glance-registry. Remove this option; glance-manage load-legacy imports a database";
const ONE_FOLDER: &str = "\
    several folders are not supported. Set the one folder with [glance_store] \
    filesystem_store_datadir";
const NO_NAMED_STORES: &str = "\
    this release has one store of each kind (file, http, s3, swift) and no named stores. List \
    the kinds in [glance_store] stores and select the one for new images with default_store";
const NO_ENCRYPTION: &str = "\
    this release does not encrypt locations in its registry, so passwords in them would be \
    stored in plain text. Remove this option to accept that; to import a registry with \
    encrypted locations, pass the key to glance-manage load-legacy --encryption-key-file";
const NO_KEYSTONE_LIMITS: &str = "\
    limits from Keystone are not supported. Set this option to false and limit tenants with \
    user_storage_quota and user_image_quota";
const ONE_POLICY: &str = "\
    policy folders are not supported. Move the rules into policy_file and remove this option";
const ONE_ACCOUNT: &str = "\
    new images are stored in a single Swift account, because the caller's token is not \
    forwarded. Set this option to false; images in accounts of tenants are read with the token \
    of the store's own account";

const UNSUPPORTED: &[UnsupportedOption] = &[
    unsupported(DEFAULT, "cert_file", always, NO_TLS),
    unsupported(DEFAULT, "key_file", always, NO_TLS),
    unsupported(DEFAULT, "ca_file", always, NO_TLS),
    unsupported(
        "pipeline:glance-api",
        "pipeline",
        names_identity,
        NO_PIPELINE,
    ),
    unsupported(
        DEFAULT,
        "data_api",
        |api| api.contains("registry"),
        NO_DATA_API,
    ),
    unsupported(DEFAULT, "sql_connection", always, NO_DATABASE),
    unsupported("database", "connection", always, NO_DATABASE),
    unsupported(DEFAULT, "filesystem_store_datadirs", always, ONE_FOLDER),
    unsupported(
        "glance_store",
        "filesystem_store_datadirs",
        always,
        ONE_FOLDER,
    ),
    unsupported(DEFAULT, "enabled_backends", always, NO_NAMED_STORES),
    unsupported("glance_store", "default_backend", always, NO_NAMED_STORES),
    unsupported(DEFAULT, "metadata_encryption_key", always, NO_ENCRYPTION),
    unsupported(DEFAULT, "swift_store_multi_tenant", is_true, ONE_ACCOUNT),
    unsupported(
        "glance_store",
        "swift_store_multi_tenant",
        is_true,
        ONE_ACCOUNT,
    ),
    unsupported(DEFAULT, "use_keystone_limits", is_true, NO_KEYSTONE_LIMITS),
    unsupported(DEFAULT, "policy_dirs", always, ONE_POLICY),
    unsupported("oslo_policy", "policy_dirs", always, ONE_POLICY),
];

const fn unsupported(
    section: &'static str,
    key: &'static str,
    applies: fn(&str) -> bool,
    why: &'static str,
) -> UnsupportedOption {
    UnsupportedOption {
        option: (section, key),
        applies,
        why,
    }
}

fn always(_: &str) -> bool {
    true
}

/// Returns true if a pipeline has a filter that identifies callers.
fn names_identity(pipeline: &str) -> bool {
    const PARTS: &[&str] = &[
        "keystone",
        "trusted-auth",
        "trustedauth",
        "authtoken",
        "auth-context",
    ];
    let mut parts = pipeline.split(['+', ',']).flat_map(str::split_whitespace);
    parts.any(|part| PARTS.contains(&part))
}

fn is_true(flag: &str) -> bool {
    matches!(
        flag.to_ascii_lowercase().as_str(),
        "true" | "1" | "on" | "yes"
    )
}

/// Reports each option that must not be ignored ([`ConfigError::Unsupported`]).
pub(crate) fn report_unsupported(values: &Values<'_>) {
    for option_rule in UNSUPPORTED {
        let (section, key) = option_rule.option;
        let Some(entry) = values.entry(section, key) else {
            continue;
        };
        let value = entry.value.trim();
        if !value.is_empty() && (option_rule.applies)(value) {
            values.report(ConfigError::Unsupported {
                position: values.position(entry.line),
                option: entry.to_string(),
                why: option_rule.why.to_owned(),
            });
        }
    }
}

/// Returns true if this module checks an option, so that `ignored` does not report it as unknown.
pub(crate) fn covers(section: &str, key: &str) -> bool {
    UNSUPPORTED
        .iter()
        .any(|option_rule| option_rule.option == (section, key))
}
