//! The configured authentication mode behind one interface.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::caller_rules::CallerRules;
use super::identity_headers::IdentityHeaders;
use super::tokens::{TokenAuthenticator, TokenOptions};
use super::trusted_proxies::TrustedProxies;
use crate::error::{Error, Kind, Result};
use crate::image::Caller;

/// The authentication mode.
pub enum AuthMode {
    /// No authentication: every caller is an administrator without a tenant.
    Disabled,
    /// Proxies with these addresses state the identity in headers.
    TrustedProxies(Vec<IpNet>, CallerRules),
    /// The identity service validates tokens.
    Tokens(Box<TokenOptions>),
}

/// The options of an [`Authenticator`].
pub struct AuthenticatorOptions {
    /// The authentication mode.
    pub mode: AuthMode,
    /// True if requests without an identity may read public images.
    pub allow_anonymous: bool,
    /// The address at which clients obtain tokens, for `WWW-Authenticate`.
    pub identity_uri: Option<String>,
}

enum Backend {
    /// Every request has this caller.
    Administrator(Arc<Caller>),
    TrustedProxies(TrustedProxies),
    Tokens(TokenAuthenticator),
}

/// Determines the caller of a request. Shared by all workers.
pub struct Authenticator {
    backend: Backend,
    /// The caller of requests without an identity, if they are allowed.
    anonymous: Option<Arc<Caller>>,
    /// The value of `WWW-Authenticate`.
    challenge: Option<String>,
}

impl Authenticator {
    /// Creates the backend of the mode. The identity service is not contacted yet.
    pub fn new(options: AuthenticatorOptions) -> Self {
        let backend = match options.mode {
            AuthMode::Disabled => Backend::Administrator(Arc::new(Caller::administrator())),
            AuthMode::TrustedProxies(proxies, rules) => {
                Backend::TrustedProxies(TrustedProxies::new(proxies, rules))
            }
            AuthMode::Tokens(options) => Backend::Tokens(TokenAuthenticator::new(*options)),
        };
        let anonymous = options.allow_anonymous.then(Caller::anonymous);
        let uri = options.identity_uri.as_ref();
        Self {
            backend,
            anonymous: anonymous.map(Arc::new),
            challenge: uri.map(|uri| format!("Keystone uri=\"{uri}\"")),
        }
    }

    /// Returns the value of `WWW-Authenticate` for 401 responses (RFC 9110, section 11.6.1).
    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    /// Returns the headers that determine the caller, in the form of `Vary`. Empty if every caller
    /// is the same.
    pub fn identity_headers(&self) -> &'static str {
        match &self.backend {
            Backend::Administrator(_) => "",
            Backend::TrustedProxies(_) => {
                "X-Identity-Status, X-User-Id, X-Tenant-Id, X-Project-Id, X-Roles"
            }
            Backend::Tokens(_) => "X-Auth-Token, X-Storage-Token, X-Service-Token",
        }
    }

    /// Returns the caller if it can be determined without waiting for the identity service. `None`
    /// means unknown: use [`Authenticator::caller`]. Header names may have any case.
    pub fn try_caller<'a>(
        &self,
        peer: IpAddr,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Option<Arc<Caller>> {
        match &self.backend {
            Backend::Administrator(caller) => Some(Arc::clone(caller)),
            Backend::TrustedProxies(proxies) => {
                let found = proxies.caller(peer, &IdentityHeaders::read(headers)).ok()?;
                found.map(Arc::new)
            }
            Backend::Tokens(tokens) => tokens.try_caller(&IdentityHeaders::read(headers)),
        }
    }

    /// Determines the caller from the request's headers (names in any case) and its peer.
    ///
    /// # Errors
    /// `Unauthenticated` when the request has no identity or an invalid token; `Invalid` when its
    /// headers are ambiguous; `Unavailable` when the identity service does not answer.
    pub async fn caller<'a>(
        &self,
        peer: IpAddr,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Arc<Caller>> {
        let found = match &self.backend {
            Backend::Administrator(caller) => return Ok(Arc::clone(caller)),
            Backend::TrustedProxies(proxies) => {
                let found = proxies.caller(peer, &IdentityHeaders::read(headers))?;
                found.map(Arc::new)
            }
            Backend::Tokens(tokens) => tokens.caller(&IdentityHeaders::read(headers)).await?,
        };
        found.or_else(|| self.anonymous.clone()).ok_or_else(|| {
            let message = "The request does not say who makes it.";
            Error::new(Kind::Unauthenticated, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn trusted(allow_anonymous: bool) -> Authenticator {
        let rules = CallerRules {
            admin_role: "admin".to_owned(),
            owner_is_tenant: true,
        };
        Authenticator::new(AuthenticatorOptions {
            mode: AuthMode::TrustedProxies(vec!["127.0.0.0/8".parse().unwrap()], rules),
            allow_anonymous,
            identity_uri: Some("http://keystone:5000".to_owned()),
        })
    }

    fn headers() -> impl Iterator<Item = (&'static str, &'static [u8])> {
        [("x-identity-status", &b"Confirmed"[..])].into_iter()
    }

    async fn ask(from: &Authenticator, peer: IpAddr) -> Result<Arc<Caller>> {
        from.caller(peer, headers()).await
    }

    #[tokio::test]
    async fn every_caller_is_administrator_without_authentication() {
        let disabled = Authenticator::new(AuthenticatorOptions {
            mode: AuthMode::Disabled,
            allow_anonymous: false,
            identity_uri: None,
        });
        let caller = disabled.caller(PEER, std::iter::empty()).await.unwrap();
        assert_eq!(*caller, Caller::administrator());
        assert!(disabled.try_caller(PEER, std::iter::empty()).is_some());
        assert_eq!(disabled.challenge(), None);
    }

    #[tokio::test]
    async fn request_without_identity_is_refused_or_anonymous() {
        let stranger = "10.0.0.1".parse().unwrap();
        let strict = trusted(false);
        assert!(ask(&strict, PEER).await.unwrap().roles.is_empty());
        let refused = ask(&strict, stranger).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unauthenticated);
        let challenge = strict.challenge();
        assert_eq!(challenge, Some("Keystone uri=\"http://keystone:5000\""));
        let open = trusted(true);
        let caller = ask(&open, stranger).await.unwrap();
        assert_eq!(*caller, Caller::anonymous());
        assert!(open.try_caller(stranger, headers()).is_none());
        assert!(open.try_caller(PEER, headers()).is_some());
    }
}
