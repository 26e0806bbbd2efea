//! What went wrong between us and S3, in words that hold no secret.
//!
//! Of an answer only its status and S3's own code are kept: messages repeat access keys,
//! and signatures.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::{Error, Kind};

/// When it is worth trying again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Codes that say that nothing more fits.
const FULL: &[&str] = &[
    "EntityTooLarge",
    "QuotaExceeded",
    "InsufficientStorage",
    "ServiceQuotaExceeded",
    "XMinioStorageFull",
];

/// A request that S3 did not carry out.
#[derive(Debug)]
pub(super) struct S3Error {
    /// The operation, by S3's name.
    operation: &'static str,
    /// The status of the answer, if there was one.
    status: Option<u16>,
    /// S3's code for what is wrong.
    code: Option<String>,
    /// What S3 calls the request.
    request_id: Option<String>,
    /// What happened when there was no answer.
    detail: String,
}

impl S3Error {
    /// An answer that says no.
    pub(super) fn of_answer(operation: &'static str, status: u16, code: Option<String>) -> Self {
        Self {
            operation,
            status: Some(status),
            code: code.filter(|code| is_code(code)),
            request_id: None,
            detail: String::new(),
        }
    }

    /// No answer.
    pub(super) fn of_silence(operation: &'static str, cause: &dyn StdError) -> Self {
        Self::odd(operation, chain(cause))
    }

    /// No answer that could be used.
    pub(super) fn odd(operation: &'static str, detail: impl Into<String>) -> Self {
        Self {
            operation,
            status: None,
            code: None,
            request_id: None,
            detail: detail.into(),
        }
    }

    /// What the SDK says.
    pub(super) fn of<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let mut failure = match status {
            Some(status) => Self::of_answer(operation, status, error.code().map(str::to_owned)),
            None => Self::of_silence(operation, error),
        };
        failure.request_id = error
            .request_id()
            .filter(|id| is_code(id))
            .map(str::to_owned);
        failure
    }

    /// Whether S3 gave one of these codes.
    pub(super) fn has_code(&self, codes: &[&str]) -> bool {
        let own = self.code.as_deref();
        own.is_some_and(|own| codes.contains(&own))
    }

    /// Whether the bucket is not there.
    pub(super) fn is_no_bucket(&self) -> bool {
        self.has_code(&["NoSuchBucket"])
    }

    /// Whether what was asked for is not there. An answer without a body has no code.
    pub(super) fn is_absent(&self) -> bool {
        self.status == Some(404)
    }

    /// Whether the account may not do it.
    pub(super) fn is_forbidden(&self) -> bool {
        self.status == Some(403)
    }

    /// Whether it may work when asked again at once.
    pub(super) fn is_transient(&self) -> bool {
        match self.status {
            Some(status) => status >= 500 || status == 429,
            None => true,
        }
    }

    /// What whoever reads, or removes, learns of it.
    pub(super) fn reading(self) -> Error {
        let cause = self.to_string();
        match self.status {
            Some(404) => Error::new(Kind::NotFound, "The image's data are not in the store."),
            Some(412 | 416) => return Error::internal(cause),
            _ => unavailable("The image storage media cannot be reached."),
        }
        .because(cause)
    }

    /// What whoever writes learns of it.
    pub(super) fn writing(self) -> Error {
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

/// Trying again later is right.
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
    /// What an operator can do.
    fn hint(&self) -> &'static str {
        match (self.status, self.code.as_deref()) {
            (_, Some("NoSuchBucket")) => "make the bucket, or set s3_store_create_bucket_on_put",
            (_, Some("SignatureDoesNotMatch" | "InvalidAccessKeyId")) => {
                "check s3_store_access_key and s3_store_secret_key"
            }
            (_, Some("RequestTimeTooSkewed")) => "set this machine's clock",
            (Some(301 | 307 | 308), _) => "check s3_store_host and s3_store_region_name",
            (Some(401 | 403), _) => "check the keys, and what the account may do in the bucket",
            _ => "",
        }
    }
}

/// Whether a word of the service's is one that may be logged.
fn is_code(word: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=80).contains(&word.len()) && word.bytes().all(is_plain)
}

/// An error with its causes, in one line. No part of ours or of the SDK's names a URL.
fn chain(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> S3Error {
        S3Error::from_response("PutObject", status, Some(code.to_owned()))
    }

    #[test]
    fn kinds_are_by_what_one_can_do() {
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
    fn a_cause_says_what_to_do_and_shows_no_words_of_the_service() {
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
