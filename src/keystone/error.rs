//! Why the identity service could not help.

use std::time::Duration;

use http::StatusCode;

use crate::http_client::HttpClientError;

/// The identity service could not help. For the log: names no secret.
#[derive(Debug, thiserror::Error)]
pub enum KeystoneError {
    /// Its address is no http or https URL.
    #[error("the identity service's address is no http or https URL")]
    Address,
    /// It could not be asked.
    #[error("the identity service cannot be asked")]
    Unreachable(#[from] HttpClientError),
    /// It has not answered within the limit for a request.
    #[error("the identity service has not answered within {} s", .0.as_secs())]
    Late(Duration),
    /// User, password or project is not what it knows.
    #[error("the identity service refuses the user, the key or the project")]
    Refused,
    /// Another answer than the one that was asked for.
    #[error("the identity service answers {0}")]
    Status(StatusCode),
    /// An answer that cannot be read.
    #[error("the identity service's answer has no {0}")]
    Answer(&'static str),
    /// The service is not in the catalogue.
    #[error("the catalogue has no {0}")]
    NoEndpoint(String),
}
