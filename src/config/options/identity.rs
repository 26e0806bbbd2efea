//! Options for identities, policy and Keystone.

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

/// Largest time for which results of token validations are cached, in seconds.
const KEEP_MAX_S: u64 = 3_600;

/// How callers are identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityMode {
    /// Callers are not identified; all of them have the rights of an administrator.
    Disabled,
    /// A trusted proxy states the identity in headers.
    TrustedAuth,
    /// Keystone validates the token.
    Keystone,
}

options! {
    /// The kind of authentication.
    pub struct PasteConfig, "paste_deploy", "Identity";

    /// How the server learns who sends a request. Empty or none: callers are not identified, and
    /// every caller has the rights of an administrator. trusted-auth: a proxy listed in
    /// trusted_proxies states the identity in headers. keystone: Keystone validates the token.
    /// Append +caching to cache images of other servers (see image_cache_dir), or +cachemanagement
    /// to cache them and also serve the API that shows and changes the cache (policy rule
    /// manage_image_cache).
    flavor: Vec<&'static str> = "", FlavorParts;
}

impl PasteConfig {
    /// Returns how callers are identified.
    pub fn identity(&self) -> IdentityMode {
        match &self.flavor {
            parts if parts.contains(&"keystone") => IdentityMode::Keystone,
            parts if parts.contains(&"trusted-auth") => IdentityMode::TrustedAuth,
            _ => IdentityMode::Disabled,
        }
    }

    /// Returns true if images of other servers are cached.
    pub fn caches(&self) -> bool {
        self.flavor.contains(&"caching") || self.manages_cache()
    }

    /// Returns true if the API shows and changes the cache.
    pub fn manages_cache(&self) -> bool {
        self.flavor.contains(&"cachemanagement")
    }
}

options! {
    /// Roles, ownership and trusted proxies.
    pub struct IdentityConfig, "DEFAULT", "Callers";

    /// Role of administrators, compared without regard to case. Use the role that your Keystone
    /// gives to administrators of images.
    admin_role: String = "admin", Text;
    /// Images belong to tenants. When it is off, they belong to users, and memberships name users.
    owner_is_tenant: bool = "true", Flag;
    /// Allows requests without a token to read public images. They can change nothing. Turn it on
    /// only if public images may be read by anyone who reaches the API.
    allow_anonymous_access: bool = "false", Flag;
    /// Proxies whose identity headers are accepted with the flavor trusted-auth. The headers of
    /// all other peers are ignored. List only proxies that remove these headers from their
    /// clients' requests.
    trusted_proxies: Vec<IpNet> = "127.0.0.0/8,::1/128", Networks;
}

/// Meaning of the lines of a property protection file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtectionRules {
    /// Names of roles.
    Roles,
    /// Names of policy rules.
    Policies,
}

options! {
    /// Files of policy rules and property protections.
    pub struct RulesConfig, "DEFAULT", "Policy";

    /// File of policy rules in the format of oslo.policy, JSON or YAML, reloaded at SIGHUP. When
    /// it is empty, Glance's default rules apply: the rules of ownership decide, and only
    /// administrators publish images.
    policy_file: Option<PathBuf> = "", Optional(FilePath), also [("oslo_policy", "policy_file")];
    /// Rule of policy_file for actions that the file does not list. If the file has no such rule
    /// either, Glance's default applies to them.
    policy_default_rule: String = "default", Text, also [("oslo_policy", "policy_default_rule")];
    /// File of rules for single properties, reloaded at SIGHUP. When it is empty, no property is
    /// protected.
    property_protection_file: Option<PathBuf> = "", Optional(FilePath);
    /// Meaning of the names in property_protection_file: roles, or policies (names of rules in
    /// policy_file).
    property_protection_rule_format: ProtectionRules = "roles", Choice(&[
        ("roles", ProtectionRules::Roles),
        ("policies", ProtectionRules::Policies),
    ]);
}

options! {
    /// The connection to Keystone and the cache of validated tokens.
    pub struct KeystoneConfig, "keystone_authtoken", "Keystone";

    /// URL of Keystone as this server reaches it. Required with the flavor keystone.
    auth_url: Option<String> = "", Optional(Endpoint), also [
        ("keystone_authtoken", "identity_uri"),
    ];
    /// Host of Keystone, for configurations of Glance before Kilo that do not set auth_url. The
    /// URL is then auth_protocol://auth_host:auth_port/auth_admin_prefix.
    auth_host: String = "", Text;
    /// Port of Keystone, together with auth_host. The default is Keystone's admin port of that
    /// time.
    auth_port: u16 = "35357", Int::<u16>::new(1, 65_535, "");
    /// Protocol of Keystone, together with auth_host.
    auth_protocol: &'static str = "https", Choice(&[("https", "https"), ("http", "http")]);
    /// Path prefix of Keystone, together with auth_host.
    auth_admin_prefix: String = "", Text;
    /// URL of Keystone as clients reach it; responses to requests without a valid token contain
    /// it. When it is empty, auth_url is used.
    www_authenticate_uri: Option<String> = "", Optional(Endpoint), also [
        ("keystone_authtoken", "auth_uri"),
    ];
    /// User as which this server validates tokens. Required with the flavor keystone, unless
    /// user_id is set.
    username: String = "", Text, also [
        ("keystone_authtoken", "user_name"),
        ("keystone_authtoken", "user"),
        ("keystone_authtoken", "admin_user"),
    ];
    /// Id of that user, instead of its name and domain.
    user_id: String = "", Text;
    /// Password of that user. A file that contains a password must not be readable by other users.
    password: Secret = "", Password, also [("keystone_authtoken", "admin_password")];
    /// Id of the domain of username.
    user_domain_id: String = "default", Text, also [("keystone_authtoken", "default_domain_id")];
    /// Name of the domain of username, instead of its id.
    user_domain_name: String = "", Text, also [("keystone_authtoken", "default_domain_name")];
    /// Project of that user. Required with the flavor keystone, unless project_id is set.
    project_name: String = "", Text, also [
        ("keystone_authtoken", "tenant_name"),
        ("keystone_authtoken", "admin_tenant_name"),
    ];
    /// Id of that project, instead of its name and domain.
    project_id: String = "", Text, also [("keystone_authtoken", "tenant_id")];
    /// Id of the domain of project_name.
    project_domain_id: String = "default", Text, also [
        ("keystone_authtoken", "default_domain_id"),
    ];
    /// Name of the domain of project_name, instead of its id.
    project_domain_name: String = "", Text, also [("keystone_authtoken", "default_domain_name")];
    /// PEM file of the certificate authorities that are trusted for Keystone. When it is empty,
    /// those of the system are used.
    cafile: Option<PathBuf> = "", Optional(FilePath);
    /// Accepts any certificate of Keystone. Anyone between the two servers can then read the
    /// password and forge identities. Use it for tests only.
    insecure: bool = "false", Flag;
    /// Longest time until a connection to Keystone is established, and until its response begins.
    /// Lower it to fail sooner when Keystone is unreachable.
    http_connect_timeout: Duration = "10", Seconds { min: 1, max: 600 };
    /// Longest time that a request waits for the validation of its token, including connections,
    /// logins, retries and the wait for one of token_validations_max. Afterwards it is answered
    /// with 503.
    token_validation_timeout: Duration = "10", Seconds { min: 1, max: 600 };
    /// Retries of a request that Keystone did not answer, within token_validation_timeout. More
    /// retries hide short failures of Keystone and make clients wait longer during long ones.
    http_request_max_retries: u32 = "3", Int::<u32>::new(0, 100, "");
    /// Longest time for which a validated token is cached. A revoked token may work for as long.
    /// While Keystone is unreachable, cached tokens remain valid for this time and other tokens
    /// are answered with 503. Lower it to revoke sooner, at the cost of more requests to Keystone.
    token_cache_time: Duration = "300", CacheSeconds { max: KEEP_MAX_S };
    /// Longest time for which a token that Keystone does not know is refused without another
    /// request. It protects Keystone from clients that repeat an invalid token.
    token_refusal_time: Duration = "5", CacheSeconds { max: KEEP_MAX_S };
    /// Valid tokens that are cached, and invalid tokens in addition; each takes about 1 KiB. Set
    /// it to at least the number of tokens that are in use within token_cache_time.
    token_cache_size: usize = "10000", Int::<usize>::new(1, 10_000_000, "");
    /// Requests to Keystone that run at the same time. Further ones wait. The limit protects
    /// Keystone when many new tokens arrive at once.
    token_validations_max: usize = "64", Int::<usize>::new(1, 100_000, "");
    /// Roles of services. A service that sends its own token in X-Service-Token and has one of
    /// these roles may use a user's token that has expired in the meantime, so that long
    /// operations can finish.
    service_token_roles: Vec<String> = "service", Words;
    /// Refuses a request whose service token has none of service_token_roles. When it is off, such
    /// a service token is ignored.
    service_token_roles_required: bool = "false", Flag;
}

/// Options of which the URL was built up to Juno.
const URL_PARTS: [&str; 4] = [
    "auth_host",
    "auth_port",
    "auth_protocol",
    "auth_admin_prefix",
];

impl KeystoneConfig {
    /// Builds the URL from its parts, as keystonemiddleware does, if the file has no URL.
    pub(crate) fn build_url(&mut self, values: &Values<'_>) {
        const SECTION: &str = "keystone_authtoken";
        let given = URL_PARTS
            .iter()
            .filter_map(|name| values.entry(SECTION, name));
        if self.auth_url.is_some() {
            for entry in given {
                let message = format!("{entry} is ignored, because auth_url is set");
                values.warn(entry.line, message);
            }
            return;
        }
        if self.auth_host.is_empty() || !values.are_valid(&URL_PARTS) {
            return;
        }
        // An IPv6 address needs brackets in a URL (RFC 3986, 3.2.2).
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
                expected: "a host from which a URL can be built".to_owned(),
            });
        }
    }
}
