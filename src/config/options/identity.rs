//! Who may ask, and how that is known.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::Secret;
use crate::config::declare::options;
use crate::config::error::ConfigError;
use crate::config::value_types::{
    CacheSeconds, Choice, Endpoint, FilePath, Flag, FlavorParts, Int, Networks, Optional, Password,
    Seconds, Text, ValueType, Words,
};
use crate::config::values::Values;

/// Longest time that what Keystone says of a token can be kept, in seconds.
const KEEP_MAX_S: u64 = 3_600;

/// How it is known who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityMode {
    /// Nobody is asked.
    Disabled,
    /// A proxy in front says it in headers.
    TrustedAuth,
    /// Keystone knows whose token it is.
    Keystone,
}

options! {
    /// How identities are checked.
    pub struct PasteConfig, "paste_deploy", "Identity";

    /// How it is known who is asking. Nothing or none: nobody is asked, and everybody who reaches the API is an
    /// administrator. trusted-auth: a proxy of trusted_proxies says it in headers. keystone: Keystone knows whose
    /// token it is. With caching images of other servers are kept near (image_cache_dir); with cachemanagement they
    /// are too, and those whom the policy lets (manage_image_cache) can see and change what is kept.
    flavor: Vec<&'static str> = "", FlavorParts;
}

impl PasteConfig {
    /// How it is known who is asking.
    pub fn identity(&self) -> IdentityMode {
        match &self.flavor {
            parts if parts.contains(&"keystone") => IdentityMode::Keystone,
            parts if parts.contains(&"trusted-auth") => IdentityMode::TrustedAuth,
            _ => IdentityMode::Disabled,
        }
    }

    /// Whether images of other servers are kept near.
    pub fn caches(&self) -> bool {
        self.flavor.contains(&"caching") || self.manages_cache()
    }

    /// Whether the API shows what is kept.
    pub fn manages_cache(&self) -> bool {
        self.flavor.contains(&"cachemanagement")
    }
}

options! {
    /// What identities mean here.
    pub struct IdentityConfig, "DEFAULT", "Callers";

    /// Who has this role is an administrator. Case does not count.
    admin_role: String = "admin", Text;
    /// Whether images belong to tenants; else they belong to users, and memberships name users.
    owner_is_tenant: bool = "true", Flag;
    /// Whether a request that does not say who makes it may look at public images. It may change nothing.
    allow_anonymous_access: bool = "false", Flag;
    /// Proxies whose identity headers are believed with the flavor trusted-auth. From all others these headers
    /// count for nothing.
    trusted_proxies: Vec<IpNet> = "127.0.0.0/8,::1/128", Networks;
}

/// What the lines of a property protection file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionRules {
    /// Roles.
    Roles,
    /// Rules of the policy.
    Policies,
}

options! {
    /// What operators allow to whom.
    pub struct RulesConfig, "DEFAULT", "Policy";

    /// File of rules in the form of oslo.policy, JSON or YAML, read again at SIGHUP. Nothing = Glance's own rules:
    /// everything is allowed to whom an image lets, and only administrators publish.
    policy_file: Option<PathBuf> = "", Optional(FilePath), also [("oslo_policy", "policy_file")];
    /// The rule in that file for actions which have none in it. Without such a rule Glance's own is in force.
    policy_default_rule: String = "default", Text, also [("oslo_policy", "policy_default_rule")];
    /// File of rules about single properties, read again at SIGHUP. Nothing = no property is protected.
    property_protection_file: Option<PathBuf> = "", Optional(FilePath);
    /// What the lines of that file name: roles, or policies, which are rules of policy_file.
    property_protection_rule_format: ProtectionRules = "roles", Choice(&[
        ("roles", ProtectionRules::Roles),
        ("policies", ProtectionRules::Policies),
    ]);
}

options! {
    /// The identity service.
    pub struct KeystoneConfig, "keystone_authtoken", "Keystone";

    /// Keystone as the node reaches it. Needed with the flavor keystone.
    auth_url: Option<String> = "", Optional(Endpoint), also [("keystone_authtoken", "identity_uri")];
    /// Host of Keystone, where auth_url is not set (Glance until Juno): the URL is then
    /// auth_protocol://auth_host:auth_port/auth_admin_prefix.
    auth_host: String = "", Text;
    /// Port of Keystone, with auth_host.
    auth_port: u16 = "35357", Int::<u16>::new(1, 65_535, "");
    /// Protocol of Keystone, with auth_host.
    auth_protocol: &'static str = "https", Choice(&[("https", "https"), ("http", "http")]);
    /// What the paths of Keystone begin with, with auth_host.
    auth_admin_prefix: String = "", Text;
    /// Keystone as clients reach it, told to those who have no valid token. Nothing = auth_url.
    www_authenticate_uri: Option<String> = "", Optional(Endpoint), also [
        ("keystone_authtoken", "auth_uri"),
    ];
    /// The node's own user, in whose name it asks about tokens. Needed with the flavor keystone.
    username: String = "", Text, also [
        ("keystone_authtoken", "user_name"),
        ("keystone_authtoken", "user"),
        ("keystone_authtoken", "admin_user"),
    ];
    /// Id of that user, in place of its name and domain.
    user_id: String = "", Text;
    /// Password of that user.
    password: Secret = "", Password, also [("keystone_authtoken", "admin_password")];
    /// Id of the domain that the user's name is of.
    user_domain_id: String = "default", Text, also [("keystone_authtoken", "default_domain_id")];
    /// Name of that domain, in place of its id.
    user_domain_name: String = "", Text, also [("keystone_authtoken", "default_domain_name")];
    /// Project of that user. Needed with the flavor keystone.
    project_name: String = "", Text, also [
        ("keystone_authtoken", "tenant_name"),
        ("keystone_authtoken", "admin_tenant_name"),
    ];
    /// Id of that project, in place of its name and domain.
    project_id: String = "", Text, also [("keystone_authtoken", "tenant_id")];
    /// Id of the domain that the project's name is of.
    project_domain_id: String = "default", Text, also [
        ("keystone_authtoken", "default_domain_id"),
    ];
    /// Name of that domain, in place of its id.
    project_domain_name: String = "", Text, also [("keystone_authtoken", "default_domain_name")];
    /// File of authorities that may vouch for Keystone, in PEM. Nothing = those of the system.
    cafile: Option<PathBuf> = "", Optional(FilePath);
    /// Whether any certificate will do for Keystone.
    insecure: bool = "false", Flag;
    /// Longest time until a connection to Keystone stands, and until its answer begins.
    http_connect_timeout: Duration = "10", Seconds { min: 1, max: 600 };
    /// Longest time that a request waits until its token is validated: connections, logins, retries and the wait for
    /// one of token_validations_max included. Then it is answered with 503.
    token_validation_timeout: Duration = "10", Seconds { min: 1, max: 600 };
    /// How often a question that brought no answer is put to Keystone again, within token_validation_timeout.
    http_request_max_retries: u32 = "3", Int::<u32>::new(0, 100, "");
    /// Longest time that what Keystone says of a token is believed: so long a token may work after it is revoked.
    /// While Keystone cannot be asked, tokens that are kept go on to their time, and others are answered with 503.
    token_cache_time: Duration = "300", CacheSeconds { max: KEEP_MAX_S };
    /// Longest time that a token which Keystone does not know is refused without asking again.
    token_refusal_time: Duration = "5", CacheSeconds { max: KEEP_MAX_S };
    /// Tokens that are kept, and as many that Keystone does not know; each takes about 1 KiB.
    token_cache_size: usize = "10000", Int::<usize>::new(1, 10_000_000, "");
    /// Questions to Keystone at a time. More wait for their turn.
    token_validations_max: usize = "64", Int::<usize>::new(1, 100_000, "");
    /// A service that has one of these roles and shows its token (X-Service-Token) may show a user's token that has
    /// expired meanwhile.
    service_token_roles: Vec<String> = "service", Words;
    /// Whether a request is refused when the service whose token it shows has none of these roles. Else that token
    /// gives no rights.
    service_token_roles_required: bool = "false", Flag;
}

/// The options that a URL was made of until Juno.
const URL_PARTS: [&str; 4] = [
    "auth_host",
    "auth_port",
    "auth_protocol",
    "auth_admin_prefix",
];

impl KeystoneConfig {
    /// Makes the URL of its parts, as keystonemiddleware does, where the file has no URL.
    pub(crate) fn build_url(&mut self, values: &Values<'_>) {
        const SECTION: &str = "keystone_authtoken";
        let given = URL_PARTS
            .iter()
            .filter_map(|name| values.entry(SECTION, name));
        if self.auth_url.is_some() {
            for entry in given {
                let message = format!("{entry} is passed over, because auth_url is set");
                values.warn(entry.line, message);
            }
            return;
        }
        if self.auth_host.is_empty() || !values.are_valid(&URL_PARTS) {
            return;
        }
        // An address of IPv6 stands in brackets in a URL (RFC 3986, 3.2.2).
        let host = match self.auth_host.parse::<std::net::Ipv6Addr>() {
            Ok(address) => format!("[{address}]"),
            Err(_) => self.auth_host.clone(),
        };
        let prefix = self.auth_admin_prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let (protocol, port) = (self.auth_protocol, self.auth_port);
        let url = format!("{protocol}://{host}:{port}{slash}{prefix}");
        self.auth_url = Endpoint.parse(&url);
        if self.auth_url.is_none()
            && let Some(entry) = values.entry(SECTION, "auth_host")
        {
            values.report(ConfigError::BadValue {
                position: values.position(entry.line),
                option: entry.to_string(),
                given: url,
                expected: "a host, of which a URL can be made".to_owned(),
            });
        }
    }
}
