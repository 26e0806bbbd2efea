//! The way that was configured, as doors use it.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::presented::Presented;
use super::rules::CallerRules;
use super::tokens::{TokenOptions, Tokens};
use super::trusted::TrustedProxies;
use crate::error::{Error, Kind, Result};
use crate::image::Caller;

/// How identities are found.
pub enum Way {
    /// Nobody is asked: everybody is an administrator without a tenant.
    Nobody,
    /// These proxies say who is asking.
    TrustedProxies(Vec<IpNet>, CallerRules),
    /// The identity service says who shows a token.
    Tokens(Box<TokenOptions>),
}

/// What an operator decides about identities.
pub struct AuthenticatorOptions {
    /// How they are found.
    pub way: Way,
    /// Whether who says nothing may look at what is public.
    pub allow_anonymous: bool,
    /// Where tokens are had, for the answer to who has none.
    pub identity_uri: Option<String>,
}

enum Found {
    Administrator(Arc<Caller>),
    TrustedProxies(TrustedProxies),
    Tokens(Tokens),
}

/// Finds out who is asking. Shared by all workers.
pub struct Authenticator {
    found: Found,
    anonymous: Option<Arc<Caller>>,
    challenge: Option<String>,
}

impl Authenticator {
    /// The way that was chosen; nobody is asked anything yet.
    pub fn new(options: AuthenticatorOptions) -> Self {
        let found = match options.way {
            Way::Nobody => Found::Administrator(Arc::new(Caller::administrator())),
            Way::TrustedProxies(proxies, rules) => {
                Found::TrustedProxies(TrustedProxies::new(proxies, rules))
            }
            Way::Tokens(options) => Found::Tokens(Tokens::new(*options)),
        };
        let anonymous = options.allow_anonymous.then(Caller::anonymous);
        let uri = options.identity_uri.as_ref();
        Self {
            found,
            anonymous: anonymous.map(Arc::new),
            challenge: uri.map(|uri| format!("Keystone uri=\"{uri}\"")),
        }
    }

    /// The value of `WWW-Authenticate`, for answers that say 401 (RFC 9110, 11.6.1).
    pub fn challenge(&self) -> Option<&str> {
        self.challenge.as_deref()
    }

    /// The headers that say who is asking, as `Vary` lists them; none where everybody is the
    /// same.
    pub fn identity_headers(&self) -> &'static str {
        match &self.found {
            Found::Administrator(_) => "",
            Found::TrustedProxies(_) => {
                "X-Identity-Status, X-User-Id, X-Tenant-Id, X-Project-Id, X-Roles"
            }
            Found::Tokens(_) => "X-Auth-Token, X-Storage-Token, X-Service-Token",
        }
    }

    /// Who is asking, from the request's headers (names in any case) and its peer, when that
    /// is known without waiting. `None` says nothing.
    pub fn try_caller<'a>(
        &self,
        peer: IpAddr,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Option<Arc<Caller>> {
        match &self.found {
            Found::Administrator(caller) => Some(Arc::clone(caller)),
            Found::TrustedProxies(proxies) => {
                let found = proxies.caller(peer, &Presented::read(headers)).ok()?;
                found.map(Arc::new)
            }
            Found::Tokens(tokens) => tokens.try_caller(&Presented::read(headers)),
        }
    }

    /// Who is asking, from the request's headers (names in any case) and its peer.
    ///
    /// # Errors
    /// `Unauthenticated` when nobody says who it is, or what is said is not true; `Invalid`
    /// when it can be read in two ways; `Unavailable` when nobody can tell.
    pub async fn caller<'a>(
        &self,
        peer: IpAddr,
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Arc<Caller>> {
        let found = match &self.found {
            Found::Administrator(caller) => return Ok(Arc::clone(caller)),
            Found::TrustedProxies(proxies) => {
                let found = proxies.caller(peer, &Presented::read(headers))?;
                found.map(Arc::new)
            }
            Found::Tokens(tokens) => tokens.caller(&Presented::read(headers)).await?,
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
            way: Way::TrustedProxies(vec!["127.0.0.0/8".parse().unwrap()], rules),
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
    async fn without_identities_everybody_is_an_administrator() {
        let nobody = Authenticator::new(AuthenticatorOptions {
            way: Way::Nobody,
            allow_anonymous: false,
            identity_uri: None,
        });
        let caller = nobody.caller(PEER, std::iter::empty()).await.unwrap();
        assert_eq!(*caller, Caller::administrator());
        assert!(nobody.try_caller(PEER, std::iter::empty()).is_some());
        assert_eq!(nobody.challenge(), None);
    }

    #[tokio::test]
    async fn who_says_nothing_is_refused_or_may_look() {
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
