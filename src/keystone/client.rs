//! Requests to the identity service.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, DATE};
use http::{HeaderValue, Request, StatusCode, Uri};

use super::error::KeystoneError;
use super::login::Login;
use super::token::Token;
use super::token_info::TokenInfo;
use crate::http_client::{HttpClient, empty, full};

/// The longest response that is read; the catalogue of a large cloud has about 100 KiB.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// An identity service.
#[derive(Clone)]
pub struct Keystone {
    client: HttpClient,
    tokens: Uri,
    renew_before: Duration,
}

impl Keystone {
    /// Creates a client of the service at an address, such as `https://keystone:5000/v3`. An
    /// address that ends in `v2.0` (old configurations) or in no version means the same service's
    /// v3: Keystone has no v2.0 since 2018 (Queens). Tokens are renewed `renew_before` their
    /// expiry.
    ///
    /// # Errors
    /// [`KeystoneError::Address`] if it is not an http or https URL.
    pub fn new(
        client: HttpClient,
        address: &str,
        renew_before: Duration,
    ) -> Result<Self, KeystoneError> {
        let tokens = format!("{}/v3/auth/tokens", root(address));
        let tokens: Uri = tokens.parse().map_err(|_| KeystoneError::Address)?;
        if !matches!(tokens.scheme_str(), Some("http" | "https")) {
            return Err(KeystoneError::Address);
        }
        Ok(Self {
            client,
            tokens,
            renew_before,
        })
    }

    /// Logs in and returns a token.
    ///
    /// # Errors
    /// [`KeystoneError`], which contains no secret.
    pub async fn issue(&self, login: &Login) -> Result<Token, KeystoneError> {
        let body = Bytes::from(login.to_json().to_string());
        let mut request = Request::post(self.tokens.clone());
        let json = HeaderValue::from_static("application/json");
        if let Some(headers) = request.headers_mut() {
            headers.insert(CONTENT_TYPE, json.clone());
            headers.insert(ACCEPT, json);
        }
        let request = request.body(full(body));
        let request = request.map_err(|_| KeystoneError::Address)?;
        let response = self.client.fetch(request, MAX_RESPONSE_BYTES).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(KeystoneError::Refused),
            status => return Err(KeystoneError::Status(status)),
        }
        let id = response.headers().get("x-subject-token");
        let id = id.ok_or(KeystoneError::Malformed("X-Subject-Token"))?;
        Token::read(id.clone(), response.body(), self.renew_before)
    }

    /// Returns the owner of a presented token, or `None` if the token is not valid. With
    /// `expired_too`, recently expired tokens are valid.
    ///
    /// # Errors
    /// [`KeystoneError::Status`] with 401 if `own`, the token of this server, is not valid.
    pub async fn verify(
        &self,
        own: &Token,
        presented: HeaderValue,
        expired_too: bool,
    ) -> Result<Option<TokenInfo>, KeystoneError> {
        let expired = if expired_too { "&allow_expired=1" } else { "" };
        // The catalogue would be most of the response, and is not needed.
        let mut request = Request::get(format!("{}?nocatalog{expired}", self.tokens));
        if let Some(headers) = request.headers_mut() {
            headers.insert("x-auth-token", own.id().clone());
            headers.insert("x-subject-token", presented);
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
        let request = request.body(empty()).map_err(|_| KeystoneError::Address)?;
        let response = self.client.fetch(request, MAX_RESPONSE_BYTES).await?;
        match response.status() {
            StatusCode::OK => {
                TokenInfo::read(response.headers().get(DATE), response.body()).map(Some)
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(KeystoneError::Status(status)),
        }
    }
}

/// Returns an address without the version at its end.
fn root(address: &str) -> &str {
    let address = address.trim_end_matches('/');
    let versioned = ["/v3", "/v2.0"];
    let root = versioned
        .iter()
        .find_map(|version| address.strip_suffix(version));
    root.unwrap_or(address).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::root;

    #[test]
    fn versions_are_removed_from_addresses() {
        for address in [
            "http://k:5000",
            "http://k:5000/",
            "http://k:5000/v3",
            "http://k:5000/v3/",
            "http://k:5000/v2.0/",
        ] {
            assert_eq!(root(address), "http://k:5000", "{address}");
        }
        assert_eq!(root("http://k/identity/v3"), "http://k/identity");
    }
}
