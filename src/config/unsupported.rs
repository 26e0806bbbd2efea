//! Options of Glance that this release cannot honour and must not pass over in silence.

use crate::config::error::ConfigError;
use crate::config::ini::DEFAULT;
use crate::config::values::Values;

/// An option whose neglect would open a door or put data where nobody expects it.
struct UnsupportedOption {
    /// (section, key)
    option: (&'static str, &'static str),
    /// Whether a value, never empty, asks for what is not there.
    applies: fn(&str) -> bool,
    /// Why, and what to do.
    why: &'static str,
}

const NO_TLS: &str = "this release serves no TLS. End TLS in a proxy in front (HAProxy, nginx) and remove the option";
const NO_PIPELINE: &str = "this release reads no pipelines, so nobody would be asked who is calling. Remove it, and name \
    the way with [paste_deploy] flavor";
const NO_DATA_API: &str = "remove it: a registry server is used when registry_host names one";
const NO_DATABASE: &str = "this release keeps its registry itself, in registry_dir, in etcd or in glance-registry, and \
    reads no database. Remove the option";
const ONE_FOLDER: &str =
    "this release keeps images in one folder. Name it with [glance_store] filesystem_store_datadir";
const NO_NAMED_STORES: &str = "this release has one store of each kind (file, http, s3, swift) and none of several \
    that have names. List the kinds in [glance_store] stores, and name the one for new images with default_store";
const NO_ENCRYPTION: &str = "this release does not encrypt locations in its registry, and without a word from you \
    passwords in them would no longer be encrypted. Remove the option; to take over a registry with encrypted \
    locations, give the key to glance-manage load-legacy --encryption-key-file";
const NO_KEYSTONE_LIMITS: &str = "this release reads no limits from Keystone. Set it to false, and bound tenants by \
    user_storage_quota and user_image_quota";
const ONE_POLICY: &str =
    "this release reads one policy file. Put the rules of that folder into policy_file";
const ONE_ACCOUNT: &str = "this release keeps new images in one account of Swift: it has no token of the caller to write with. \
    Set it to false; images in accounts of tenants are read with the token of the Swift store's own account";

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

/// Whether a pipeline has a part that would ask who is calling.
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

/// Notes each option that must not be passed over ([`ConfigError::Unsupported`]).
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

/// Whether an option is one of those that are judged here, so that nobody calls it unknown.
pub(crate) fn covers(section: &str, key: &str) -> bool {
    UNSUPPORTED
        .iter()
        .any(|option_rule| option_rule.option == (section, key))
}
