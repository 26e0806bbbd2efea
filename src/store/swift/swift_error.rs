//! What went wrong with Swift, for the log, and what clients learn of it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};

use super::login::LoginError;
use crate::error::{Error, Kind};
use crate::http_client::HttpClientError;
use crate::store::name_taken::name_taken;

/// When it is worth trying again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Something went wrong with Swift. For the log: names no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum SwiftError {
    #[error("no login to Swift")]
    Login(#[source] Arc<LoginError>),
    #[error("{what}: Swift cannot be asked")]
    Outgoing {
        what: &'static str,
        #[source]
        cause: HttpClientError,
    },
    /// With the id that Swift's own logs have for the request.
    #[error("{what}: Swift answers {status} (X-Trans-Id {})", transaction.as_deref().unwrap_or("-"))]
    Status {
        what: &'static str,
        status: StatusCode,
        transaction: Option<String>,
    },
    #[error("{what}: {problem}")]
    Answer { what: &'static str, problem: String },
    #[error(
        "there is no container {container:?}; make it, or set swift_store_create_container_on_put"
    )]
    NoContainer { container: String },
    /// An object that no upload may replace.
    #[error("there is an object {object:?} in container {container:?} already")]
    Occupied { container: String, object: String },
    #[error("the address in the image's location cannot be used: {0}")]
    Address(&'static str),
}

/// What a request to Swift comes to.
pub(super) type SwiftResult<T> = Result<T, SwiftError>;

impl SwiftError {
    /// An answer that was not hoped for.
    pub(super) fn status(what: &'static str, status: StatusCode, headers: &HeaderMap) -> Self {
        let transaction = headers.get("x-trans-id").and_then(|id| id.to_str().ok());
        Self::Status {
            what,
            status,
            transaction: transaction.map(str::to_owned),
        }
    }

    pub(super) fn answer(what: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self::Answer { what, problem }
    }

    /// Whether it says that what was asked for is not there.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status, .. } if *status == StatusCode::NOT_FOUND)
    }
}

/// What a client learns of an object that cannot be read.
pub(super) fn read_error(error: SwiftError) -> Error {
    if error.is_not_found() {
        return Error::new(Kind::NotFound, "The image's data are not in the store.").because(error);
    }
    unavailable("The image store cannot be read at the moment.").because(error)
}

/// What a client learns of an object that cannot be written or removed.
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
