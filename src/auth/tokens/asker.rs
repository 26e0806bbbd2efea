//! Asking the identity service about tokens, in our own name.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::http_client::ExpiringCell;
use crate::keystone::{Keystone, KeystoneError, Login, Token, TokenInfo};

/// Wait before a question is asked again; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(50);

/// Asks with a token of our own, which is renewed in time and when it is refused.
pub(super) struct Asker {
    keystone: Keystone,
    login: Login,
    own: ExpiringCell<Token, KeystoneError>,
    /// Questions that may be under way.
    room: Semaphore,
    retries: u32,
    limit: Duration,
}

impl Asker {
    pub(super) fn new(
        keystone: Keystone,
        login: Login,
        most_questions: usize,
        retries: u32,
        limit: Duration,
    ) -> Self {
        Self {
            keystone,
            login,
            own: ExpiringCell::new(),
            room: Semaphore::new(most_questions),
            retries,
            limit,
        }
    }

    /// Who shows a token; nobody, when it is not valid.
    ///
    /// # Errors
    /// [`KeystoneError::Late`] when the limit passes before the answer, whatever was tried.
    pub(super) async fn ask(
        &self,
        shown: HeaderValue,
        expired_too: bool,
    ) -> Result<Option<TokenInfo>, Arc<KeystoneError>> {
        let answer = timeout(self.limit, self.ask_again(shown, expired_too)).await;
        answer.unwrap_or_else(|_| Err(Arc::new(KeystoneError::Late(self.limit))))
    }

    async fn ask_again(
        &self,
        shown: HeaderValue,
        expired_too: bool,
    ) -> Result<Option<TokenInfo>, Arc<KeystoneError>> {
        // Never closed.
        let _room = self.room.acquire().await;
        let mut wait = FIRST_RETRY;
        for _ in 0..self.retries {
            match self.ask_once(&shown, expired_too).await {
                Err(error) if matches!(*error, KeystoneError::Unreachable(_)) => {
                    sleep(wait).await;
                    wait *= 2;
                }
                answer => return answer,
            }
        }
        self.ask_once(&shown, expired_too).await
    }

    async fn ask_once(
        &self,
        shown: &HeaderValue,
        expired_too: bool,
    ) -> Result<Option<TokenInfo>, Arc<KeystoneError>> {
        let issue = || self.keystone.issue(&self.login);
        let own = self.own.get(issue()).await?;
        let answer = self.keystone.verify(&own, shown.clone(), expired_too).await;
        match answer {
            Err(KeystoneError::Status(StatusCode::UNAUTHORIZED)) => {
                let own = self.own.replace(&own, issue()).await?;
                let answer = self.keystone.verify(&own, shown.clone(), expired_too);
                Ok(answer.await?)
            }
            answer => Ok(answer?),
        }
    }
}
