//! Reads one object through presigned URLs.
//!
//! The SDK only signs the request; the HTTP client sends it, so that the bytes of a plain
//! connection can stay in their socket. Every response must be of the object's registered size and
//! of the same ETag as the first one.

use std::time::Duration;

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MATCH, RANGE};
use http::{HeaderValue, StatusCode, response};
use http_body_util::BodyExt;
use tokio::time::{sleep, timeout};

use super::object::S3Object;
use super::s3_error::S3Error;
use crate::error::{Error, Result};
use crate::http_client::HttpClient;
use crate::transfer::{RangeBody, RangeSource};

/// The most attempts of a request while its errors are transient.
const ATTEMPTS: u32 = 3;

/// The wait before the second attempt; multiplied by the attempt's number for later ones.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// Longest wait for the body of an error, of which only the code is logged.
const ERROR_BODY_LIMIT: Duration = Duration::from_secs(1);

/// An object whose size the registry knows.
pub(super) struct S3ObjectReader {
    object: S3Object,
    http: HttpClient,
    object_bytes: u64,
    /// ETag of the first response.
    tag: Option<HeaderValue>,
}

/// The reason why an object cannot be read.
enum ReadFailure {
    /// The object is not the one that the registry describes.
    WrongObject(String),
    /// The request failed.
    Request(S3Error),
}

impl S3ObjectReader {
    pub(super) fn new(object: S3Object, http: HttpClient, object_bytes: u64) -> Self {
        Self {
            object,
            http,
            object_bytes,
            tag: None,
        }
    }

    /// Sends one request and checks the response.
    async fn request(
        &mut self,
        offset: u64,
        len: u64,
    ) -> std::result::Result<RangeBody, ReadFailure> {
        let mut request = self
            .object
            .signed_get()
            .await
            .map_err(ReadFailure::Request)?;
        let is_whole = offset == 0 && len == self.object_bytes;
        let headers = request.headers_mut();
        if !is_whole {
            let last = (offset + len).saturating_sub(1);
            let range = HeaderValue::from_str(&format!("bytes={offset}-{last}"));
            headers.insert(RANGE, range.map_err(|error| wrong(&error.to_string()))?);
        }
        if let Some(tag) = &self.tag {
            // S3 answers 412 if the object was replaced since the first response.
            headers.insert(IF_MATCH, tag.clone());
        }
        let opened = self.http.open(request).await;
        let (head, part) = opened
            .map_err(|error| ReadFailure::Request(S3Error::no_response("GetObject", &error)))?;
        match head.status {
            StatusCode::OK if is_whole => self.check_whole(&head)?,
            StatusCode::PARTIAL_CONTENT if !is_whole => self.check_range(&head, offset, len)?,
            StatusCode::OK => return Err(wrong("S3 ignored the requested range")),
            status => return Err(refusal(status, part).await),
        }
        self.check_tag(&head)?;
        Ok(part)
    }

    fn check_whole(&self, head: &response::Parts) -> std::result::Result<(), ReadFailure> {
        let len = text(head, CONTENT_LENGTH).and_then(|len| len.parse::<u64>().ok());
        match len {
            Some(len) if len == self.object_bytes => Ok(()),
            _ => Err(wrong(&format!(
                "the object has {len:?} bytes where the registry has {}",
                self.object_bytes
            ))),
        }
    }

    fn check_range(
        &self,
        head: &response::Parts,
        offset: u64,
        len: u64,
    ) -> std::result::Result<(), ReadFailure> {
        let last = offset + len - 1;
        let expected = format!("bytes {offset}-{last}/{}", self.object_bytes);
        match text(head, CONTENT_RANGE) {
            Some(range) if range == expected => Ok(()),
            range => Err(wrong(&format!(
                "S3 sent the range {range:?} instead of {expected:?}"
            ))),
        }
    }

    /// Keeps the first ETag, and compares later ones with it.
    fn check_tag(&mut self, head: &response::Parts) -> std::result::Result<(), ReadFailure> {
        let tag = head.headers.get(ETAG);
        match &self.tag {
            Some(known) if tag.is_some_and(|tag| tag != known) => {
                Err(wrong("the object was replaced while it was being read"))
            }
            Some(_) => Ok(()),
            None => {
                self.tag = tag.cloned();
                Ok(())
            }
        }
    }
}

#[async_trait(?Send)]
impl RangeSource for S3ObjectReader {
    async fn open(&mut self, offset: u64, len: u64) -> Result<RangeBody> {
        let mut attempt = 1;
        loop {
            let failure = match self.request(offset, len).await {
                Ok(part) => return Ok(part),
                Err(ReadFailure::WrongObject(what)) => return Err(Error::internal(what)),
                Err(ReadFailure::Request(failure)) => failure,
            };
            if attempt == ATTEMPTS || !failure.is_transient() {
                return Err(failure.into_read_error());
            }
            // Only requests are repeated here. A body that breaks is resumed by the range reader,
            // which opens the rest.
            sleep(RETRY_WAIT * attempt).await;
            attempt += 1;
        }
    }
}

fn wrong(what: &str) -> ReadFailure {
    ReadFailure::WrongObject(what.to_owned())
}

fn text(head: &response::Parts, name: HeaderName) -> Option<&str> {
    head.headers.get(name)?.to_str().ok()
}

/// Converts a response that is not the object.
async fn refusal(status: StatusCode, part: RangeBody) -> ReadFailure {
    let code = timeout(ERROR_BODY_LIMIT, error_text(part)).await;
    let code = code.ok().flatten().and_then(|text| code_in(&text));
    ReadFailure::Request(S3Error::from_response("GetObject", status.as_u16(), code))
}

/// Returns the beginning of a response's body.
async fn error_text(part: RangeBody) -> Option<String> {
    let bytes = match part {
        RangeBody::Stream(mut frames) => frames.frame().await?.ok()?.into_data().ok()?,
        RangeBody::Socket(mut part) => match part.first.pop_front() {
            Some(bytes) => bytes,
            None => {
                let mut buffer = Vec::with_capacity(1024);
                part.stream.readable().await.ok()?;
                part.stream.try_read_buf(&mut buffer).ok()?;
                buffer.into()
            }
        },
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns the error code in an S3 error document.
fn code_in(document: &str) -> Option<String> {
    let (_, rest) = document.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_found() {
        let words = "<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code><Message>x</Message>";
        assert_eq!(code_in(words).as_deref(), Some("NoSuchKey"));
        assert_eq!(code_in("<Code>"), None);
    }
}
