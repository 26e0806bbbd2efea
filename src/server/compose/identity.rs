//! Builds the authenticator of the configured mode.

use std::sync::Arc;
use std::time::Duration;

use crate::auth::{AuthMode, Authenticator, AuthenticatorOptions, CallerRules, TokenOptions};
use crate::config::{Config, IdentityMode, KeystoneConfig};
use crate::http_client::{AddressPolicy, HttpClient, HttpClientOptions, TlsOptions, client_config};
use crate::keystone::{Domain, Keystone, Login, Project, User};
use crate::log;
use crate::server::start_error::StartError;

/// Time before the expiry of our own token at which it is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// Longest time that an unused connection to Keystone is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Builds the authenticator. Keystone is not contacted, so a server can start before it.
///
/// # Errors
/// When a certificate file or the address of Keystone cannot be used.
pub(in crate::server) fn authenticator(config: &Config) -> Result<Authenticator, StartError> {
    let identity = &config.identity;
    let rules = CallerRules {
        admin_role: identity.admin_role.trim().to_lowercase(),
        owner_is_tenant: identity.owner_is_tenant,
    };
    let (name, mode) = match config.paste.identity() {
        IdentityMode::Disabled => ("none", AuthMode::Disabled),
        IdentityMode::TrustedAuth => {
            let proxies = identity.trusted_proxies.clone();
            ("trusted-auth", AuthMode::TrustedProxies(proxies, rules))
        }
        IdentityMode::Keystone => {
            let options = token_options(&config.keystone, rules)?;
            ("keystone", AuthMode::Tokens(Box::new(options)))
        }
    };
    tracing::info!(target: log::STARTUP, flavor = name, "authentication ready");
    let keystone = &config.keystone;
    let identity_uri = keystone.www_authenticate_uri.as_ref();
    Ok(Authenticator::new(AuthenticatorOptions {
        mode,
        allow_anonymous: identity.allow_anonymous_access,
        identity_uri: identity_uri.or(keystone.auth_url.as_ref()).cloned(),
    }))
}

fn token_options(config: &KeystoneConfig, rules: CallerRules) -> Result<TokenOptions, StartError> {
    let tls = client_config(&TlsOptions {
        ca_file: config.cafile.clone(),
        insecure: config.insecure,
    })
    .map_err(StartError::KeystoneTls)?;
    let client = HttpClient::new(HttpClientOptions {
        connect_timeout: config.http_connect_timeout,
        answer_timeout: config.http_connect_timeout,
        idle_timeout: IDLE,
        address_policy: AddressPolicy::Any,
        tls: Arc::clone(&tls),
    });
    let address = config.auth_url.as_deref().unwrap_or_default();
    let lower = |role: &String| role.to_lowercase();
    Ok(TokenOptions {
        keystone: Keystone::new(client, address, RENEW_BEFORE).map_err(StartError::Keystone)?,
        login: login(config),
        keep: config.token_cache_time,
        keep_refusals: config.token_refusal_time,
        max_cached: config.token_cache_size,
        max_validations: config.token_validations_max,
        retries: config.http_request_max_retries,
        limit: config.token_validation_timeout,
        service_roles: config.service_token_roles.iter().map(lower).collect(),
        service_roles_required: config.service_token_roles_required,
        rules,
    })
}

fn login(config: &KeystoneConfig) -> Login {
    let user = match &config.user_id {
        id if !id.is_empty() => User::Id(id.clone()),
        _ => User::Name {
            name: config.username.clone(),
            domain: domain(&config.user_domain_name, &config.user_domain_id),
        },
    };
    let project = match &config.project_id {
        id if !id.is_empty() => Project::Id(id.clone()),
        _ => Project::Name {
            name: config.project_name.clone(),
            domain: domain(&config.project_domain_name, &config.project_domain_id),
        },
    };
    Login::by_password(user, config.password.clone(), project)
}

/// Returns the domain by its name if it is set, else by its id.
fn domain(name: &str, id: &str) -> Domain {
    match name {
        "" => Domain::Id(id.to_owned()),
        name => Domain::Name(name.to_owned()),
    }
}
