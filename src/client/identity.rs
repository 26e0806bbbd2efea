//! The token that requests carry: none, a given one, or one that Keystone issues. A token of
//! Keystone is renewed before it expires, so that long transfers can still be resumed.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::endpoint::is_https;
use super::error::{ClientError, Result};
use super::options::ConnectOptions;
use crate::http_client::ExpiringCell;
use crate::keystone::{Interface, Keystone, KeystoneError, Login, Token};

/// Time before its expiry at which a token is renewed, so that none expires between here and the
/// server's validation.
const RENEW_BEFORE: Duration = Duration::from_secs(60);

/// A cloud: its Keystone, the login there, and the choice among the endpoints of the catalogue.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// URL of Keystone, such as `https://keystone:5000/v3`.
    pub auth_url: String,
    /// Credentials and project.
    pub login: Login,
    /// Region of the endpoint; any if `None`.
    pub region: Option<String>,
    /// Interface of the endpoint.
    pub interface: Interface,
}

/// Source of the token of each request.
#[derive(Clone, Default)]
pub(super) enum Identity {
    /// Requests carry no token.
    #[default]
    Anonymous,
    /// Requests carry this token.
    Token(HeaderValue),
    /// Requests carry a token issued by Keystone.
    Keystone(Arc<KeystoneSession>),
}

/// A login at Keystone and its current token.
pub(super) struct KeystoneSession {
    keystone: Keystone,
    login: Login,
    /// `HOST:PORT` of Keystone, for errors.
    address: String,
    token: ExpiringCell<Token, KeystoneError>,
}

impl Identity {
    /// Returns the token for the next request; logs in if there is none yet or it expires soon.
    ///
    /// # Errors
    /// [`ClientError::Login`] if Keystone issues no token.
    pub(super) async fn token(&self) -> Result<Option<HeaderValue>> {
        match self {
            Self::Anonymous => Ok(None),
            Self::Token(token) => Ok(Some(token.clone())),
            Self::Keystone(session) => Ok(Some(session.token().await?.id().clone())),
        }
    }
}

impl KeystoneSession {
    /// Prepares a login; nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] if the URL of Keystone or a file with certificates is invalid.
    pub(super) fn new(cloud: &Cloud, options: &ConnectOptions) -> Result<Self> {
        let http = options.http_client(is_https(&cloud.auth_url))?;
        let keystone = Keystone::new(http, &cloud.auth_url, RENEW_BEFORE);
        Ok(Self {
            keystone: keystone.map_err(|_| {
                ClientError::Invalid(
                    "The URL of Keystone (--os-auth-url) is not an http or https URL.".to_owned(),
                )
            })?,
            login: cloud.login.clone(),
            address: shown_address(&cloud.auth_url),
            token: ExpiringCell::new(),
        })
    }

    /// Returns the current token; requests one if there is none yet or it expires soon.
    ///
    /// # Errors
    /// [`ClientError::Login`] if Keystone issues no token.
    pub(super) async fn token(&self) -> Result<Arc<Token>> {
        let login = async {
            tracing::debug!(keystone = %self.address, "requesting a token");
            self.keystone.issue(&self.login).await
        };
        let token = self.token.get(login).await;
        token.map_err(|source| ClientError::Login {
            address: self.address.clone(),
            source,
        })
    }
}

/// Returns the part of a URL that messages may show: no user name, password, path or query.
fn shown_address(url: &str) -> String {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit('@').next().unwrap_or_default();
    address.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_a_url_are_not_shown() {
        assert_eq!(shown_address("https://k:5000/v3"), "k:5000");
        assert_eq!(shown_address("https://u:CANARY@k/v3"), "k");
        assert_eq!(shown_address("k:5000"), "k:5000");
    }
}
