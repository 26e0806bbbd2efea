//! A token, its lifetime and its catalogue.

use std::time::{Duration, Instant};

use http::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::catalogue::Catalogue;
use super::error::KeystoneError;
use crate::http_client::Expiring;

/// A token that the identity service issued to this program.
#[derive(Debug, Clone)]
pub struct Token {
    id: HeaderValue,
    expires_at: Instant,
    renew_at: Instant,
    catalogue: Catalogue,
}

/// The part of the response's body that is used.
#[derive(Deserialize)]
struct Body {
    token: Described,
}

#[derive(Deserialize)]
struct Described {
    issued_at: Timestamp,
    expires_at: Timestamp,
    #[serde(default)]
    catalog: Catalogue,
}

impl Token {
    /// Parses the response to a login. A token is renewed `renew_before` its expiry, but not before
    /// half of its lifetime.
    ///
    /// The lifetime is the difference of two times of the identity service's clock, so that this
    /// node's clock need not agree with it.
    pub(super) fn read(
        mut id: HeaderValue,
        body: &[u8],
        renew_before: Duration,
    ) -> Result<Self, KeystoneError> {
        let body: Body =
            serde_json::from_slice(body).map_err(|_| KeystoneError::Malformed("token"))?;
        let life = body.token.issued_at.until(body.token.expires_at);
        let life = life
            .ok()
            .and_then(|life| life.total(jiff::Unit::Second).ok());
        let life = Duration::try_from_secs_f64(life.unwrap_or(0.0)).unwrap_or_default();
        let now = Instant::now();
        id.set_sensitive(true);
        Ok(Self {
            id,
            expires_at: now + life,
            renew_at: now + life - renew_before.min(life / 2),
            catalogue: body.token.catalog,
        })
    }

    /// Returns the token as a header value, which `Debug` does not print.
    pub fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Returns the catalogue of services.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }
}

impl Expiring for Token {
    fn renew_at(&self) -> Option<Instant> {
        Some(self.renew_at)
    }

    fn expires_at(&self) -> Option<Instant> {
        Some(self.expires_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(issued_at: &str, expires_at: &str) -> Token {
        let body = format!(
            r#"{{"token": {{"issued_at": "{issued_at}", "expires_at": "{expires_at}",
                "methods": ["password"], "user": {{"id": "u"}}}}}}"#
        );
        let id = HeaderValue::from_static("CANARY");
        Token::read(id, body.as_bytes(), Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn lifetime_is_the_difference_of_the_two_times() {
        let token = token("2001-01-01T00:00:00.000000Z", "2001-01-01T01:00:00.000000Z");
        let left = token.expires_at - Instant::now();
        assert!((3590..=3600).contains(&left.as_secs()), "{left:?}");
        assert_eq!(token.expires_at - token.renew_at, Duration::from_secs(60));
        assert!(!format!("{token:?}").contains("CANARY"));
    }

    #[test]
    fn short_lived_tokens_are_renewed_at_half_their_lifetime() {
        let token = token("2001-01-01T00:00:00.000000Z", "2001-01-01T00:00:10.000000Z");
        assert_eq!(token.expires_at - token.renew_at, Duration::from_secs(5));
    }

    #[test]
    fn malformed_responses_are_refused() {
        for body in ["", "{}", r#"{"token": {"expires_at": "soon"}}"#] {
            let id = HeaderValue::from_static("x");
            assert!(
                Token::read(id, body.as_bytes(), Duration::ZERO).is_err(),
                "{body}"
            );
        }
    }
}
