//! Commands of the operator's programs on the admin listener: `POST /scrub` and
//! `POST /restore/{id}`. They require the token that the node keeps in its registry_dir.

use http::{HeaderName, Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::errors::method_not_allowed;
use super::path::image_id;
use super::request::ApiRequest;
use super::response::{ApiResponse, JSON};
use crate::error::{Error, Kind, Result};
use crate::service::{Scrubbed, Scrubber, Service};

/// The header with the node's token. A browser does not send it across sites on its own, so a web
/// page cannot command a node.
pub const OPERATOR_TOKEN: HeaderName = HeaderName::from_static("x-operator-token");

const RESTORE: &str = "/restore/";

/// The response to `POST /scrub`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrubReport {
    /// Images whose data were removed.
    pub removed: usize,
    /// Images whose data could not be removed yet.
    pub failed: usize,
    /// Images whose deletion is not due yet.
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

/// Executes admin commands for callers that present the token.
pub struct AdminCommands {
    scrubber: Scrubber,
    token: String,
}

/// A command.
pub(super) enum Command<'a> {
    Scrub,
    Restore(&'a str),
}

impl<'a> Command<'a> {
    /// Parses a path; `None` if it is not a command.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        match path {
            "/scrub" => Some(Self::Scrub),
            _ => path.strip_prefix(RESTORE).map(Self::Restore),
        }
    }
}

impl AdminCommands {
    /// Creates the executor with the token that callers must present.
    pub fn new(scrubber: Scrubber, token: String) -> Self {
        Self { scrubber, token }
    }

    /// Executes a command.
    ///
    /// # Errors
    /// `Forbidden` without the token; the errors of the verbs.
    pub(super) async fn execute(
        &self,
        command: Command<'_>,
        request: &ApiRequest,
        service: &Service,
    ) -> Result<ApiResponse> {
        if *request.method() != Method::POST {
            return Ok(method_not_allowed("POST", request.error_format));
        }
        let presented = request.header(OPERATOR_TOKEN).unwrap_or_default();
        if !is_same(presented, &self.token) {
            let message = "The node's token is needed, which it keeps in its registry_dir.";
            return Err(Error::new(Kind::Forbidden, message));
        }
        match command {
            Command::Scrub => {
                let report = ScrubReport::from(self.scrubber.run_pass().await?);
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

/// Compares in constant time, so that the response time does not reveal how much of the token a
/// caller has guessed.
fn is_same(presented: &str, token: &str) -> bool {
    let (presented, token) = (presented.as_bytes(), token.as_bytes());
    let differ = presented
        .iter()
        .zip(token)
        .fold(0, |differ, (a, b)| differ | (a ^ b));
    presented.len() == token.len() && differ == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_compared_whole() {
        assert!(is_same("abc", "abc"));
        for other in ["", "ab", "abcd", "abd", "xbc"] {
            assert!(!is_same(other, "abc"), "{other}");
        }
    }

    #[test]
    fn only_exact_paths_are_commands() {
        assert!(matches!(Command::parse("/scrub"), Some(Command::Scrub)));
        assert!(matches!(
            Command::parse("/restore/x"),
            Some(Command::Restore("x"))
        ));
        assert!(Command::parse("/scrub/").is_none() && Command::parse("/restore").is_none());
    }
}
