//! Identities that are behind a token (`keystone`).
//!
//! What Keystone says of a token is kept for a time, so most requests cost a hash and a look
//! into memory. While Keystone cannot be asked, tokens that are kept go on to their time;
//! others are answered 503. A token that is revoked works until its time is over.

mod asker;
mod cache;
mod flights;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::time::timeout;

use self::asker::Asker;
use self::cache::{Cache, Entry, TokenKey};
use self::flights::Flights;
use super::presented::{Presented, Said};
use super::rules::CallerRules;
use crate::error::{Error, Kind, Result};
use crate::image::Caller;
use crate::keystone::{Keystone, KeystoneError, Login, TokenInfo};
use crate::metrics::{self, TokenCheck};

/// When it is worth asking again after Keystone could not be asked.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What an operator says about tokens.
pub struct TokenOptions {
    /// The identity service.
    pub keystone: Keystone,
    /// Who we are to it.
    pub login: Login,
    /// Longest time that what it says of a token is believed; zero asks every time.
    pub keep: Duration,
    /// Longest time that a token it does not know is refused without asking.
    pub keep_refusals: Duration,
    /// Tokens that are kept.
    pub most_kept: usize,
    /// Questions to it at a time.
    pub most_questions: usize,
    /// How often a question is asked again that brought no answer.
    pub retries: u32,
    /// Longest time that a request waits for its tokens to be checked: logins, retries and the
    /// wait for a turn included.
    pub limit: Duration,
    /// Who shows a token of a service with one of these roles, in lower case, may show a
    /// user's token that has expired meanwhile.
    pub service_roles: Vec<String>,
    /// Whether a service's token without any of these roles is worth nothing.
    pub service_roles_required: bool,
    /// What makes a caller of an identity.
    pub rules: CallerRules,
}

/// Finds out who shows a token. For all workers together.
pub(super) struct Tokens {
    cache: Arc<Cache>,
    flights: Arc<Flights<TokenKey, Answer>>,
    asker: Arc<Asker>,
    service_roles: Vec<String>,
    service_roles_required: bool,
    rules: Arc<CallerRules>,
    limit: Duration,
}

/// Who shows a token; nobody, when it is not valid.
type Answer = std::result::Result<Option<Arc<Caller>>, Arc<KeystoneError>>;

impl Tokens {
    pub(super) fn new(options: TokenOptions) -> Self {
        let kept = (options.keep, options.keep_refusals);
        Self {
            cache: Arc::new(Cache::new(kept, options.most_kept)),
            flights: Arc::default(),
            asker: Arc::new(Asker::new(
                options.keystone,
                options.login,
                options.most_questions,
                options.retries,
                options.limit,
            )),
            limit: options.limit,
            service_roles: options.service_roles,
            service_roles_required: options.service_roles_required,
            rules: Arc::new(options.rules),
        }
    }

    /// Who is asking, when that is known without waiting. `None` says nothing.
    pub(super) fn try_caller(&self, presented: &Presented<'_>) -> Option<Arc<Caller>> {
        let is_plain = matches!(presented.text(Said::ServiceToken), Ok(None));
        let token = user_token(presented).ok().flatten().filter(|_| is_plain)?;
        let caller = self.cache.get(&TokenKey::new(token, false))?.0?;
        metrics::token_checked(TokenCheck::Valid);
        Some(caller)
    }

    /// Who is asking; `None` when the request has no token.
    ///
    /// # Errors
    /// `Unauthenticated` when a token is not valid; `Unavailable` when the identity service
    /// cannot be asked or has not answered within the limit for a request.
    pub(super) async fn caller(&self, presented: &Presented<'_>) -> Result<Option<Arc<Caller>>> {
        // A request with a service's token asks twice; the limit is for both together.
        match timeout(self.limit, self.caller_without_limit(presented)).await {
            Ok(caller) => caller,
            Err(_) => {
                metrics::token_checked(TokenCheck::Unavailable);
                Err(unavailable().because(KeystoneError::Late(self.limit)))
            }
        }
    }

    async fn caller_without_limit(&self, presented: &Presented<'_>) -> Result<Option<Arc<Caller>>> {
        let Some(token) = user_token(presented)? else {
            return Ok(None);
        };
        let Some(service_token) = presented.text(Said::ServiceToken)? else {
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
        let answer = self.answer(token, expired_too).await;
        metrics::token_checked(match &answer {
            Some(Ok(Some(_))) => TokenCheck::Valid,
            Some(Ok(None)) => TokenCheck::Refused,
            Some(Err(_)) | None => TokenCheck::Unavailable,
        });
        match answer {
            Some(Ok(caller)) => caller.ok_or_else(invalid),
            Some(Err(error)) => Err(unavailable().because(error)),
            None => Err(unavailable()),
        }
    }

    /// From what is kept, else from the identity service; `None` when whoever asked it on
    /// behalf of all ended before the answer.
    async fn answer(&self, token: &str, expired_too: bool) -> Option<Answer> {
        let Some(shown) = header_of(token) else {
            return Some(Ok(None));
        };
        let key = TokenKey::new(token, expired_too);
        if let Some(entry) = self.cache.get(&key) {
            return Some(Ok(entry.0));
        }
        let answer = self.flights.join(key, || self.ask(key, shown, expired_too));
        answer.await
    }

    /// Asks, for everybody who waits for the same answer, and keeps what comes.
    fn ask(
        &self,
        key: TokenKey,
        shown: HeaderValue,
        expired_too: bool,
    ) -> impl Future<Output = Answer> + use<> {
        let (cache, asker) = (Arc::clone(&self.cache), Arc::clone(&self.asker));
        let rules = Arc::clone(&self.rules);
        async move {
            // Whoever was here before may have left while this one was on its way.
            if let Some(entry) = cache.get(&key) {
                return Ok(entry.0);
            }
            let began = Instant::now();
            let asked = asker.ask(shown, expired_too).await;
            let result = match &asked {
                Ok(Some(_)) => TokenCheck::Valid,
                Ok(None) => TokenCheck::Refused,
                Err(_) => TokenCheck::Unavailable,
            };
            metrics::token_validated(result, began.elapsed());
            let Some(verified) = asked? else {
                cache.put(key, Entry(None), None);
                return Ok(None);
            };
            let left = (!expired_too).then_some(verified.left);
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

/// The user's token, by its name of today or that of Swift's first clients.
fn user_token<'a>(presented: &Presented<'a>) -> Result<Option<&'a str>> {
    match presented.text(Said::Token)? {
        None => presented.text(Said::StorageToken),
        token => Ok(token),
    }
}

/// The token as a header; `None` for what no identity service would issue. A token is bounded
/// by `max_header_line` alone: PKI tokens of old Keystones have 8 KiB and more.
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
