//! A token and what the identity service says about it.

use std::time::{Duration, Instant};

use http::HeaderValue;
use jiff::Timestamp;
use serde::Deserialize;

use super::catalogue::Catalogue;
use super::error::KeystoneError;
use crate::http_client::Expiring;

/// A token that was issued to us.
#[derive(Debug, Clone)]
pub struct Token {
    id: HeaderValue,
    expires_at: Instant,
    renew_at: Instant,
    catalogue: Catalogue,
}

/// What of the answer's body matters.
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
    /// Reads the answer to a login. `renew_before` is how long before its end a token is to
    /// be renewed; one that lives less than twice as long is renewed at half its life.
    ///
    /// The life is the difference of two times of the identity service's clock, so ours need
    /// not agree with it.
    pub(super) fn read(
        mut id: HeaderValue,
        body: &[u8],
        renew_before: Duration,
    ) -> Result<Self, KeystoneError> {
        let body: Body =
            serde_json::from_slice(body).map_err(|_| KeystoneError::Answer("token"))?;
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

    /// The token itself, as a header wants it; `Debug` does not show it.
    pub fn id(&self) -> &HeaderValue {
        &self.id
    }

    /// Where the services are.
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
    fn lives_as_long_as_the_two_times_say() {
        let token = token("2001-01-01T00:00:00.000000Z", "2001-01-01T01:00:00.000000Z");
        let left = token.expires_at - Instant::now();
        assert!((3590..=3600).contains(&left.as_secs()), "{left:?}");
        assert_eq!(token.expires_at - token.renew_at, Duration::from_secs(60));
        assert!(!format!("{token:?}").contains("CANARY"));
    }

    #[test]
    fn a_short_life_is_halved() {
        let token = token("2001-01-01T00:00:00.000000Z", "2001-01-01T00:00:10.000000Z");
        assert_eq!(token.expires_at - token.renew_at, Duration::from_secs(5));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for body in ["", "{}", r#"{"token": {"expires_at": "soon"}}"#] {
            let id = HeaderValue::from_static("x");
            assert!(
                Token::read(id, body.as_bytes(), Duration::ZERO).is_err(),
                "{body}"
            );
        }
    }
}
