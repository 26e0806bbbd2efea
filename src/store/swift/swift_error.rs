//! Errors of requests to Swift, for the log, and their conversion for clients.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::login::LoginError;
use crate::error::{Error, Kind};
use crate::http_client::HttpClientError;
use crate::store::name_taken::name_taken;

/// `Retry-After` for clients.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// A request to Swift failed. For the log: contains no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwiftError {
    #[error("cannot log in to Swift")]
    Login(#[source] Arc<LoginError>),
    #[error("{what}: no response from Swift")]
    Outgoing {
        what: &'static str,
        #[source]
        cause: HttpClientError,
    },
    /// With the identifier that Swift's own logs have for the request.
    #[error("{what}: Swift answered {status} (X-Trans-Id {})", transaction.as_deref().unwrap_or("-"))]
    Status {
        what: &'static str,
        status: StatusCode,
        transaction: Option<String>,
    },
    #[error("{what}: {problem}")]
    Malformed { what: &'static str, problem: String },
    #[error(
        "there is no container {container:?}; create it, or set swift_store_create_container_on_put"
    )]
    NoContainer { container: String },
    /// An object that no upload may replace.
    #[error("container {container:?} has an object {object:?} already")]
    Occupied { container: String, object: String },
    #[error("the address in the image's location cannot be used: {0}")]
    Address(&'static str),
}

/// The result of a request to Swift.
pub(super) type SwiftResult<T> = Result<T, SwiftError>;

impl SwiftError {
    /// Creates the error of a response with an unexpected status.
    pub(super) fn status(what: &'static str, status: StatusCode, headers: &HeaderMap) -> Self {
        let transaction = headers.get("x-trans-id").and_then(|id| id.to_str().ok());
        Self::Status {
            what,
            status,
            transaction: transaction.map(str::to_owned),
        }
    }

    /// Creates the error of a response that cannot be used.
    pub(super) fn malformed(what: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::Malformed { what, problem }
    }

    /// Returns true if the requested object or container does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

/// Converts the error of a read for clients.
pub(super) fn read_error(error: SwiftError) -> Error {
    if error.is_not_found() {
        return Error::new(Kind::NotFound, "The image's data are not in the store.").because(error);
    }
    unavailable("The image store cannot be read at the moment.").because(error)
}

/// Converts the error of a write or a removal for clients.
pub(super) fn write_error(error: SwiftError) -> Error {
    let is_full = |status: StatusCode| {
        matches!(
            status,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::INSUFFICIENT_STORAGE
        )
    };
    match &error {
        SwiftError::Occupied { container, object } => {
            return name_taken("swift", object, &format!("{container}/{object}"));
        }
        SwiftError::Status { status, .. } if is_full(*status) => Error::new(
            Kind::TooLarge,
            "The image store does not take an image of this size.",
        ),
        _ => unavailable("The image store cannot be written at the moment."),
    }
    .because(error)
}

fn unavailable(message: &str) -> Error {
    let retry_after = RETRY_AFTER;
    Error::new(Kind::Unavailable { retry_after }, message)
}
