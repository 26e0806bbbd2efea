//! Logs in to an account of Swift, which returns the account's URL and a token.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};

use crate::config::Secret;
use crate::http_client::{Expiring, HttpClient, HttpClientError, empty};
use crate::keystone::{self, EndpointQuery, Interface, Keystone, KeystoneError};

/// The longest response to a v1.0 login that is read.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Which URL of a login's response is the account's.
#[derive(Debug, Clone)]
pub struct SwiftEndpoint {
    /// Type of the Swift service in Keystone's catalogue.
    pub service_type: String,
    /// Region in the catalogue; `None` for the first endpoint.
    pub region: Option<String>,
    /// Interface in the catalogue.
    pub interface: Interface,
    /// URL to use instead of that in the response.
    pub url: Option<String>,
}

/// A way to log in.
pub(super) enum Login {
    /// Swift's own v1.0: a GET with user and key; the response has the token in its headers.
    V1(V1),
    /// Keystone's v3.
    V3 {
        keystone: Keystone,
        login: keystone::Login,
    },
}

/// The parameters of a v1.0 login.
pub(super) struct V1 {
    pub(super) client: HttpClient,
    pub(super) address: String,
    pub(super) user: String,
    pub(super) key: Secret,
    pub(super) renew_before: Duration,
}

/// The result of a login.
pub(super) struct AccountAccess {
    /// The account's URL, without a trailing slash.
    pub(super) storage_url: String,
    /// The token, marked as sensitive so that `Debug` does not print it.
    pub(super) token: HeaderValue,
    /// Times of renewal and expiry, if known.
    life: Option<(Instant, Instant)>,
}

/// A login failed. For the log: contains no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error(transparent)]
    Keystone(#[from] KeystoneError),
    #[error("the login address is not an http or https URL")]
    Address,
    #[error("the user or the key has characters that a header cannot contain")]
    Header,
    #[error("cannot reach Swift to log in")]
    Unreachable(#[from] HttpClientError),
    #[error("Swift refuses the user or the key")]
    Refused,
    #[error("Swift answered {0} to a login")]
    Status(StatusCode),
    #[error("Swift's response to a login has no {0}")]
    Malformed(&'static str),
}

impl Login {
    pub(super) async fn log_in(
        &self,
        endpoint: &SwiftEndpoint,
    ) -> Result<AccountAccess, LoginError> {
        let mut access = match self {
            Self::V1(login) => login.log_in().await?,
            Self::V3 { keystone, login } => by_keystone(keystone, login, endpoint).await?,
        };
        if let Some(url) = &endpoint.url {
            access.storage_url.clone_from(url);
        }
        Ok(access)
    }
}

async fn by_keystone(
    keystone: &Keystone,
    login: &keystone::Login,
    endpoint: &SwiftEndpoint,
) -> Result<AccountAccess, LoginError> {
    let token = keystone.issue(login).await?;
    let query = EndpointQuery {
        service_type: &endpoint.service_type,
        interface: endpoint.interface,
        region: endpoint.region.as_deref(),
    };
    let storage_url = match &endpoint.url {
        Some(url) => url.clone(),
        None => token.catalogue().find(query)?.to_owned(),
    };
    Ok(AccountAccess {
        storage_url,
        token: token.id().clone(),
        life: token.renew_at().zip(token.expires_at()),
    })
}

impl V1 {
    async fn log_in(&self) -> Result<AccountAccess, LoginError> {
        let uri: Uri = self.address.parse().map_err(|_| LoginError::Address)?;
        let mut request = Request::new(empty());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert("x-auth-user", header(&self.user)?);
        headers.insert("x-auth-key", header(self.key.expose())?);
        let response = self.client.fetch(request, MAX_RESPONSE_BYTES).await?;
        match response.status() {
            status if status.is_success() => self.access(response.headers()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(LoginError::Refused),
            status => Err(LoginError::Status(status)),
        }
    }

    fn access(&self, headers: &HeaderMap) -> Result<AccountAccess, LoginError> {
        let token = headers.get("x-auth-token");
        let token = token.or_else(|| headers.get("x-storage-token"));
        let mut token = token.ok_or(LoginError::Malformed("X-Auth-Token"))?.clone();
        token.set_sensitive(true);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let storage_url = text("x-storage-url").ok_or(LoginError::Malformed("X-Storage-Url"))?;
        // Not every Swift reports the lifetime.
        let seconds = text("x-auth-token-expires").and_then(|seconds| seconds.parse().ok());
        let life = seconds.map(|seconds| {
            let (now, life) = (Instant::now(), Duration::from_secs(seconds));
            let renew_at = now + life - self.renew_before.min(life / 2);
            (renew_at, now + life)
        });
        Ok(AccountAccess {
            storage_url: storage_url.trim_end_matches('/').to_owned(),
            token,
            life,
        })
    }
}

fn header(text: &str) -> Result<HeaderValue, LoginError> {
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| LoginError::Header)?;
    value.set_sensitive(true);
    Ok(value)
}

impl Expiring for AccountAccess {
    fn renew_at(&self) -> Option<Instant> {
        self.life.map(|(renew_at, _)| renew_at)
    }

    fn expires_at(&self) -> Option<Instant> {
        self.life.map(|(_, expires_at)| expires_at)
    }
}
