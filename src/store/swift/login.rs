//! Logging in to an account of Swift: where it is, and a token for it.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};

use crate::config::Secret;
use crate::http_client::{Expiring, HttpClient, HttpClientError, empty};
use crate::keystone::{self, EndpointQuery, Interface, Keystone, KeystoneError};

/// The longest answer to a login by v1.0 that is read.
const MOST_ANSWER_BYTES: usize = 64 * 1024;

/// Which of the URLs that a login tells is the account's.
#[derive(Debug, Clone)]
pub struct SwiftEndpoint {
    /// Type of Swift's service in Keystone's catalogue.
    pub service_type: String,
    /// Its region there; the first endpoint without.
    pub region: Option<String>,
    /// For whom the endpoint is.
    pub interface: Interface,
    /// In place of whatever a login tells.
    pub url: Option<String>,
}

/// How to log in.
pub(super) enum Login {
    /// Swift's own v1.0: a GET with user and key, answered by headers.
    V1(V1),
    /// Keystone's v3.
    V3 {
        keystone: Keystone,
        login: keystone::Login,
    },
}

pub(super) struct V1 {
    pub(super) client: HttpClient,
    pub(super) address: String,
    pub(super) user: String,
    pub(super) key: Secret,
    pub(super) renew_before: Duration,
}

/// What a login gives.
pub(super) struct AccountAccess {
    /// The account's URL, without a slash at its end.
    pub(super) storage_url: String,
    /// `Debug` does not show it.
    pub(super) token: HeaderValue,
    /// When to renew it, and when it ends.
    life: Option<(Instant, Instant)>,
}

/// Nobody could be logged in. For the log: names no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoginError {
    #[error(transparent)]
    Keystone(#[from] KeystoneError),
    #[error("the address to log in at is no http or https URL")]
    Address,
    #[error("user or key cannot be sent in a header")]
    Header,
    #[error("Swift cannot be asked to log in")]
    Unreachable(#[from] HttpClientError),
    #[error("Swift refuses the user or the key")]
    Refused,
    #[error("Swift answers {0} to a login")]
    Status(StatusCode),
    #[error("the answer to a login has no {0}")]
    Answer(&'static str),
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
        let answer = self.client.fetch(request, MOST_ANSWER_BYTES).await?;
        match answer.status() {
            status if status.is_success() => self.access(answer.headers()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(LoginError::Refused),
            status => Err(LoginError::Status(status)),
        }
    }

    fn access(&self, headers: &HeaderMap) -> Result<AccountAccess, LoginError> {
        let token = headers.get("x-auth-token");
        let token = token.or_else(|| headers.get("x-storage-token"));
        let mut token = token.ok_or(LoginError::Answer("X-Auth-Token"))?.clone();
        token.set_sensitive(true);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let storage_url = text("x-storage-url").ok_or(LoginError::Answer("X-Storage-Url"))?;
        // Not every Swift says how long.
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
