//! Validates tokens at the identity service, with a token of our own.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::http_client::ExpiringCell;
use crate::keystone::{Keystone, KeystoneError, Login, Token, TokenInfo};

/// Delay before the first retry; doubled for each further one.
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// Validates tokens. Its own token is renewed before it expires, and when the identity service
/// refuses it.
pub(super) struct TokenValidator {
    keystone: Keystone,
    login: Login,
    own: ExpiringCell<Token, KeystoneError>,
    /// A permit for each validation that may run at a time.
    permits: Semaphore,
    retries: u32,
    limit: Duration,
}

impl TokenValidator {
    pub(super) fn new(
        keystone: Keystone,
        login: Login,
        max_validations: usize,
        retries: u32,
        limit: Duration,
    ) -> Self {
        Self {
            keystone,
            login,
            own: ExpiringCell::new(),
            permits: Semaphore::new(max_validations),
            retries,
            limit,
        }
    }

    /// Returns the identity behind a token, or `None` if the token is not valid. With
    /// `expired_too`, a token that has expired is valid.
    ///
    /// # Errors
    /// [`KeystoneError::Late`] when the time limit passes before a response, retries included;
    /// otherwise the last error of the identity service.
    pub(super) async fn validate(
        &self,
        token: HeaderValue,
        expired_too: bool,
    ) -> Result<Option<TokenInfo>, Arc<KeystoneError>> {
        let response = timeout(self.limit, self.validate_with_retries(token, expired_too)).await;
        response.unwrap_or_else(|_| Err(Arc::new(KeystoneError::Late(self.limit))))
    }

    async fn validate_with_retries(
        &self,
        token: HeaderValue,
        expired_too: bool,
    ) -> Result<Option<TokenInfo>, Arc<KeystoneError>> {
        // The semaphore is never closed, so this is always a permit.
        let _permit = self.permits.acquire().await;
        let mut wait = FIRST_RETRY;
        for _ in 0..self.retries {
            match self.validate_once(&token, expired_too).await {
                Err(error) if matches!(*error, KeystoneError::Unreachable(_)) => {
                    sleep(wait).await;
                    wait *= 2;
                }
                response => return response,
            }
        }
        self.validate_once(&token, expired_too).await
    }

    async fn validate_once(
        &self,
        token: &HeaderValue,
        expired_too: bool,
    ) -> Result<Option<TokenInfo>, Arc<KeystoneError>> {
        let issue = || self.keystone.issue(&self.login);
        let own = self.own.get(issue()).await?;
        let response = self.keystone.verify(&own, token.clone(), expired_too).await;
        match response {
            Err(KeystoneError::Status(StatusCode::UNAUTHORIZED)) => {
                // Our own token was revoked, for example because Keystone lost its keys.
                let own = self.own.replace(&own, issue()).await?;
                let response = self.keystone.verify(&own, token.clone(), expired_too);
                Ok(response.await?)
            }
            response => Ok(response?),
        }
    }
}
