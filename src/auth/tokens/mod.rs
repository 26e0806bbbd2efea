//! Identities behind tokens that the identity service validates (`keystone`).
//!
//! Validated tokens are cached, so most requests cost a hash and a lookup in memory. While
//! Keystone is not available, cached tokens remain valid until their cache time ends, and
//! requests with other tokens receive 503. A revoked token also works until its cache time ends.

mod cache;
mod single_flight;
#[cfg(test)]
mod tests;
mod validator;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::time::timeout;

use self::cache::{Cache, Entry, TokenKey};
use self::single_flight::SingleFlight;
use self::validator::TokenValidator;
use super::caller_rules::CallerRules;
use super::identity_headers::{IdentityHeader, IdentityHeaders};
use crate::error::{Error, Kind, Result};
use crate::image::Caller;
use crate::keystone::{Keystone, KeystoneError, Login, TokenInfo};
use crate::metrics::{self, TokenCheck};

/// Value of `Retry-After` when Keystone is not available.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The options of token authentication.
pub struct TokenOptions {
    /// The identity service.
    pub keystone: Keystone,
    /// The credentials of this server at the identity service.
    pub login: Login,
    /// Longest time that a valid token is cached. Zero disables the cache.
    pub keep: Duration,
    /// Longest time that a refused token is cached.
    pub keep_refusals: Duration,
    /// The most tokens in the cache.
    pub max_cached: usize,
    /// The most concurrent validations.
    pub max_validations: usize,
    /// Number of retries while the identity service is unreachable.
    pub retries: u32,
    /// Longest time that a request waits for the validation of its tokens, including logins,
    /// retries and the wait for a permit.
    pub limit: Duration,
    /// A request with the token of a service that has one of these roles (in lower case) may carry
    /// an expired token of a user.
    pub service_roles: Vec<String>,
    /// True if a request whose service token has none of these roles is refused.
    pub service_roles_required: bool,
    /// The rules that turn an identity into a caller.
    pub rules: CallerRules,
}

/// Determines the caller behind a token. Shared by all workers.
pub(super) struct TokenAuthenticator {
    cache: Arc<Cache>,
    calls: Arc<SingleFlight<TokenKey, Validation>>,
    validator: Arc<TokenValidator>,
    service_roles: Vec<String>,
    service_roles_required: bool,
    rules: Arc<CallerRules>,
    limit: Duration,
}

/// The caller behind a token, or `None` if the token is not valid.
type Validation = std::result::Result<Option<Arc<Caller>>, Arc<KeystoneError>>;

impl TokenAuthenticator {
    pub(super) fn new(options: TokenOptions) -> Self {
        let kept = (options.keep, options.keep_refusals);
        Self {
            cache: Arc::new(Cache::new(kept, options.max_cached)),
            calls: Arc::default(),
            validator: Arc::new(TokenValidator::new(
                options.keystone,
                options.login,
                options.max_validations,
                options.retries,
                options.limit,
            )),
            limit: options.limit,
            service_roles: options.service_roles,
            service_roles_required: options.service_roles_required,
            rules: Arc::new(options.rules),
        }
    }

    /// Returns the caller if its token is cached and the request has no service token. `None` means
    /// unknown: use [`TokenAuthenticator::caller`].
    pub(super) fn try_caller(&self, headers: &IdentityHeaders<'_>) -> Option<Arc<Caller>> {
        let is_plain = matches!(headers.text(IdentityHeader::ServiceToken), Ok(None));
        let token = user_token(headers).ok().flatten().filter(|_| is_plain)?;
        let caller = self.cache.get(&TokenKey::new(token, false))?.0?;
        metrics::token_checked(TokenCheck::Valid);
        Some(caller)
    }

    /// Returns the caller, or `None` if the request has no token.
    ///
    /// # Errors
    /// `Unauthenticated` when a token is not valid; `Unavailable` when the identity service is
    /// unreachable or has not answered within the limit.
    pub(super) async fn caller(
        &self,
        headers: &IdentityHeaders<'_>,
    ) -> Result<Option<Arc<Caller>>> {
        // One limit for both validations of a request that carries a service token as well.
        match timeout(self.limit, self.caller_without_limit(headers)).await {
            Ok(caller) => caller,
            Err(_) => {
                metrics::token_checked(TokenCheck::Unavailable);
                Err(unavailable().because(KeystoneError::Late(self.limit)))
            }
        }
    }

    async fn caller_without_limit(
        &self,
        headers: &IdentityHeaders<'_>,
    ) -> Result<Option<Arc<Caller>>> {
        let Some(token) = user_token(headers)? else {
            return Ok(None);
        };
        let Some(service_token) = headers.text(IdentityHeader::ServiceToken)? else {
            return self.check(token, false).await.map(Some);
        };
        let service = self.check(service_token, false).await?;
        let is_trusted = self.is_trusted_service(&service);
        if !is_trusted && self.service_roles_required {
            return Err(invalid());
        }
        let user = self.check(token, is_trusted).await?;
        Ok(Some(Arc::new(Caller {
            service_roles: service.roles.clone(),
            ..Caller::clone(&user)
        })))
    }

    fn is_trusted_service(&self, service: &Caller) -> bool {
        let mut roles = service.roles.iter();
        roles.any(|role| self.service_roles.contains(role))
    }

    async fn check(&self, token: &str, expired_too: bool) -> Result<Arc<Caller>> {
        let validation = self.lookup(token, expired_too).await;
        metrics::token_checked(match &validation {
            Some(Ok(Some(_))) => TokenCheck::Valid,
            Some(Ok(None)) => TokenCheck::Refused,
            Some(Err(_)) | None => TokenCheck::Unavailable,
        });
        match validation {
            Some(Ok(caller)) => caller.ok_or_else(invalid),
            Some(Err(error)) => Err(unavailable().because(error)),
            None => Err(unavailable()),
        }
    }

    /// Validates a token by the cache or the identity service. Returns `None` if the worker that
    /// made the shared call has ended before the response.
    async fn lookup(&self, token: &str, expired_too: bool) -> Option<Validation> {
        let Some(token_header) = header_of(token) else {
            return Some(Ok(None));
        };
        let key = TokenKey::new(token, expired_too);
        if let Some(entry) = self.cache.get(&key) {
            return Some(Ok(entry.0));
        }
        let validation = self
            .calls
            .join(key, || self.validate(key, token_header, expired_too));
        validation.await
    }

    /// Validates a token at the identity service and stores the result in the cache. The call is
    /// shared by every request with the same token.
    fn validate(
        &self,
        key: TokenKey,
        token_header: HeaderValue,
        expired_too: bool,
    ) -> impl Future<Output = Validation> + use<> {
        let (cache, validator) = (Arc::clone(&self.cache), Arc::clone(&self.validator));
        let rules = Arc::clone(&self.rules);
        async move {
            // A call that ended after the caller's lookup may have stored the token since.
            if let Some(entry) = cache.get(&key) {
                return Ok(entry.0);
            }
            let began = Instant::now();
            let validated = validator.validate(token_header, expired_too).await;
            let result = match &validated {
                Ok(Some(_)) => TokenCheck::Valid,
                Ok(None) => TokenCheck::Refused,
                Err(_) => TokenCheck::Unavailable,
            };
            metrics::token_validated(result, began.elapsed());
            let Some(verified) = validated? else {
                cache.put(key, Entry(None), None);
                return Ok(None);
            };
            let left = (!expired_too).then_some(verified.left);
            // The token expired while the response was in transit.
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let caller = Arc::new(caller_of(verified, &rules));
            cache.put(key, Entry(Some(Arc::clone(&caller))), left);
            Ok(Some(caller))
        }
    }
}

fn caller_of(verified: TokenInfo, rules: &CallerRules) -> Caller {
    let roles = verified.roles.iter().map(String::as_str);
    rules.caller(Some(verified.user), verified.project, roles)
}

/// Returns the user's token from `X-Auth-Token`, or from `X-Storage-Token`, the name that early
/// Swift clients use.
fn user_token<'a>(headers: &IdentityHeaders<'a>) -> Result<Option<&'a str>> {
    match headers.text(IdentityHeader::Token)? {
        None => headers.text(IdentityHeader::StorageToken),
        token => Ok(token),
    }
}

/// Returns the token as a header value, or `None` if it has characters that no identity service
/// issues. `max_header_line` alone bounds its length: PKI tokens of old Keystones have 8 KiB and
/// more.
fn header_of(token: &str) -> Option<HeaderValue> {
    let is_sound = token.bytes().all(|b| b.is_ascii_graphic());
    let mut header = HeaderValue::from_str(token).ok().filter(|_| is_sound)?;
    header.set_sensitive(true);
    Some(header)
}

fn invalid() -> Error {
    Error::new(Kind::Unauthenticated, "The token is not valid.")
}

fn unavailable() -> Error {
    let kind = Kind::Unavailable {
        retry_after: RETRY_AFTER,
    };
    Error::new(kind, "The identity service cannot be asked.")
}
