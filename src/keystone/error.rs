//! Errors of the identity service.

use std::time::Duration;

use http::StatusCode;

use crate::http_client::HttpClientError;

/// A request to the identity service failed. For the log: contains no secret.
#[derive(Debug, thiserror::Error)]
pub enum KeystoneError {
    /// The service's address is not an http or https URL.
    #[error("the identity service's address is not an http or https URL")]
    Address,
    /// The service did not respond.
    #[error("cannot reach the identity service")]
    Unreachable(#[from] HttpClientError),
    /// The service did not respond within the limit for a request.
    #[error("the identity service did not respond within {} s", .0.as_secs())]
    Late(Duration),
    /// The service refuses the credentials.
    #[error("the identity service refuses the user, the key or the project")]
    Refused,
    /// An unexpected status.
    #[error("the identity service answered {0}")]
    Status(StatusCode),
    /// A response without a required part.
    #[error("the identity service's response has no {0}")]
    Malformed(&'static str),
    /// The catalogue has no matching endpoint.
    #[error("the identity service's catalogue has no {0}")]
    NoEndpoint(String),
}
