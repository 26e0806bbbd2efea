//! Failed requests to S3, described without secrets.
//!
//! Of a response only its status, S3's error code and the request identifier are kept: S3's
//! messages repeat access keys and signatures.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::{Error, Kind, chain};

/// `Retry-After` for clients.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Error codes that mean that the service is full.
const FULL: &[&str] = &[
    "EntityTooLarge",
    "QuotaExceeded",
    "InsufficientStorage",
    "ServiceQuotaExceeded",
    "XMinioStorageFull",
];

/// A failed request.
#[derive(Debug)]
pub(super) struct S3Error {
    /// S3's name of the operation.
    operation: &'static str,
    /// HTTP status of the response, if there was one.
    status: Option<u16>,
    /// S3's error code.
    code: Option<String>,
    /// S3's identifier of the request.
    request_id: Option<String>,
    /// Description of the failure if there was no response.
    detail: String,
}

impl S3Error {
    /// Creates the error of a response that refuses the request.
    pub(super) fn from_response(
        operation: &'static str,
        status: u16,
        code: Option<String>,
    ) -> Self {
        Self {
            operation,
            status: Some(status),
            code: code.filter(|code| is_code(code)),
            request_id: None,
            detail: String::new(),
        }
    }

    /// Creates the error of a request without a response.
    pub(super) fn no_response(operation: &'static str, cause: &(dyn StdError + 'static)) -> Self {
        Self::unexpected(operation, chain(cause))
    }

    /// Creates the error of a response that cannot be used.
    pub(super) fn unexpected(operation: &'static str, detail: impl Into<String>) -> Self {
        Self {
            operation,
            status: None,
            code: None,
            request_id: None,
            detail: detail.into(),
        }
    }

    /// Converts an error of the SDK.
    pub(super) fn from_sdk<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let mut failure = match status {
            Some(status) => Self::from_response(operation, status, error.code().map(str::to_owned)),
            None => Self::no_response(operation, error),
        };
        failure.request_id = error
            .request_id()
            .filter(|id| is_code(id))
            .map(str::to_owned);
        failure
    }

    /// Returns true if S3 sent one of these codes.
    pub(super) fn has_code(&self, codes: &[&str]) -> bool {
        let own = self.code.as_deref();
        own.is_some_and(|own| codes.contains(&own))
    }

    /// Returns true if the bucket does not exist.
    pub(super) fn is_no_bucket(&self) -> bool {
        self.has_code(&["NoSuchBucket"])
    }

    /// Returns true if the requested object does not exist. Checks the status, because a response
    /// without a body (to HEAD) has no code.
    pub(super) fn is_absent(&self) -> bool {
        self.status == Some(404)
    }

    /// Returns true if the account is not permitted to do this.
    pub(super) fn is_forbidden(&self) -> bool {
        self.status == Some(403)
    }

    /// Returns true if an immediate retry may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self.status {
            Some(status) => status >= 500 || status == 429,
            None => true,
        }
    }

    /// Converts the error of a read or a removal for clients.
    pub(super) fn into_read_error(self) -> Error {
        let cause = self.to_string();
        match self.status {
            Some(404) => Error::new(Kind::NotFound, "The image's data are not in the store."),
            Some(412 | 416) => return Error::internal(cause),
            _ => unavailable("The image storage media cannot be reached."),
        }
        .because(cause)
    }

    /// Converts the error of a write for clients.
    pub(super) fn into_write_error(self) -> Error {
        let is_full = self.has_code(FULL) || matches!(self.status, Some(413 | 507));
        let error = match is_full {
            true => Error::new(
                Kind::TooLarge,
                "There is not enough space on the image storage media.",
            ),
            false => unavailable("The image storage media cannot be written."),
        };
        error.because(self.to_string())
    }
}

/// Creates an error that invites clients to retry later.
pub(super) fn unavailable(message: &str) -> Error {
    let retry_after = RETRY_AFTER;
    Error::new(Kind::Unavailable { retry_after }, message)
}

impl fmt::Display for S3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 {}: ", self.operation)?;
        let Some(status) = self.status else {
            return f.write_str(&self.detail);
        };
        let code = self.code.as_deref().unwrap_or("no code");
        write!(f, "{code} (HTTP {status})")?;
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        match self.hint() {
            "" => Ok(()),
            hint => write!(f, "; {hint}"),
        }
    }
}

impl S3Error {
    /// Returns advice for operators; empty if there is none.
    fn hint(&self) -> &'static str {
        match (self.status, self.code.as_deref()) {
            (_, Some("NoSuchBucket")) => "create the bucket, or set s3_store_create_bucket_on_put",
            (_, Some("SignatureDoesNotMatch" | "InvalidAccessKeyId")) => {
                "check s3_store_access_key and s3_store_secret_key"
            }
            (_, Some("RequestTimeTooSkewed")) => "set this machine's clock",
            (Some(301 | 307 | 308), _) => "check s3_store_host and s3_store_region_name",
            (Some(401 | 403), _) => "check the keys and the account's permissions on the bucket",
            _ => "",
        }
    }
}

/// Returns true if text from the service is safe to log: a short identifier.
fn is_code(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=80).contains(&word.len()) && word.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> S3Error {
        S3Error::from_response("PutObject", status, Some(code.to_owned()))
    }

    #[test]
    fn status_and_code_map_to_error_kinds() {
        assert_eq!(
            answer(404, "NoSuchKey").into_read_error().kind(),
            Kind::NotFound
        );
        assert_eq!(
            answer(416, "InvalidRange").into_read_error().kind(),
            Kind::Internal
        );
        for failure in [answer(400, "EntityTooLarge"), answer(507, "")] {
            assert_eq!(failure.into_write_error().kind(), Kind::TooLarge);
        }
        for failure in [answer(403, "AccessDenied"), answer(404, "NoSuchBucket")] {
            assert!(matches!(
                failure.into_write_error().kind(),
                Kind::Unavailable { .. }
            ));
        }
    }

    #[test]
    fn causes_have_advice_and_no_text_of_the_service() {
        let cause = answer(403, "SignatureDoesNotMatch")
            .into_write_error()
            .cause();
        assert_eq!(
            cause.unwrap(),
            "S3 PutObject: SignatureDoesNotMatch (HTTP 403); \
             check s3_store_access_key and s3_store_secret_key"
        );
        let odd = answer(400, "CANARY CANARY\r\n");
        assert_eq!(odd.to_string(), "S3 PutObject: no code (HTTP 400)");
    }
}
