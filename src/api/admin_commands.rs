//! What an operator's program may ask a node for: `POST /scrub` and `POST /restore/{id}`.

use http::{HeaderName, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::errors::method_not_allowed;
use super::path::image_id;
use super::request::ApiRequest;
use super::response::{ApiResponse, JSON};
use crate::error::{Error, Kind, Result};
use crate::service::{Scrubbed, Scrubber, Service};

/// The header that shows the node's token. No browser sends it to a node unasked.
pub const OPERATOR_TOKEN: HeaderName = HeaderName::from_static("x-operator-token");

const RESTORE: &str = "/restore/";

/// The answer to `POST /scrub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Images whose data are gone.
    pub removed: usize,
    /// Images whose data could not be removed yet.
    pub failed: usize,
    /// Images whose time has not come.
    pub waiting: usize,
}

impl From<Scrubbed> for ScrubReport {
    fn from(scrubbed: Scrubbed) -> Self {
        Self {
            removed: scrubbed.removed,
            failed: scrubbed.failed,
            waiting: scrubbed.waiting,
        }
    }
}

/// Who carries out what an operator asks for, and what an operator must know.
pub struct AdminCommands {
    scrubber: Scrubber,
    token: String,
}

/// Something that an operator can ask for.
pub(super) enum Command<'a> {
    Scrub,
    Restore(&'a str),
}

impl<'a> Command<'a> {
    /// The command of a path.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        match path {
            "/scrub" => Some(Self::Scrub),
            _ => path.strip_prefix(RESTORE).map(Self::Restore),
        }
    }
}

impl AdminCommands {
    /// For those who know the token.
    pub fn new(scrubber: Scrubber, token: String) -> Self {
        Self { scrubber, token }
    }

    /// Carries out a command.
    ///
    /// # Errors
    /// `Forbidden` without the token; those of the verbs.
    pub(super) async fn execute(
        &self,
        command: Command<'_>,
        request: &ApiRequest,
        service: &Service,
    ) -> Result<ApiResponse> {
        if *request.method() != Method::POST {
            return Ok(method_not_allowed("POST", request.error_format));
        }
        let shown = request.header(OPERATOR_TOKEN).unwrap_or_default();
        if !is_same(shown, &self.token) {
            let message = "The node's token is needed, which it keeps in its registry_dir.";
            return Err(Error::new(Kind::Forbidden, message));
        }
        match command {
            Command::Scrub => {
                let report = ScrubReport::from(self.scrubber.round().await?);
                let body = serde_json::to_string(&report).map_err(Error::internal)?;
                Ok(ApiResponse::of(StatusCode::OK, JSON, body))
            }
            Command::Restore(id) => {
                service.restore(&image_id(id)?).await?;
                Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
            }
        }
    }
}

/// In a time that does not tell where they differ.
fn is_same(shown: &str, token: &str) -> bool {
    let (shown, token) = (shown.as_bytes(), token.as_bytes());
    let differ = shown
        .iter()
        .zip(token)
        .fold(0, |differ, (a, b)| differ | (a ^ b));
    shown.len() == token.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_the_same_or_not() {
        assert!(is_same("abc", "abc"));
        for other in ["", "ab", "abcd", "abd", "xbc"] {
            assert!(!is_same(other, "abc"), "{other}");
        }
    }

    #[test]
    fn paths_are_commands() {
        assert!(matches!(Command::parse("/scrub"), Some(Command::Scrub)));
        assert!(matches!(
            Command::parse("/restore/x"),
            Some(Command::Restore("x"))
        ));
        assert!(Command::parse("/scrub/").is_none() && Command::parse("/restore").is_none());
    }
}
