//! Reading an object: asked for by a signed address over our own client, so that what
//! comes over a plain socket stays in it.

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

/// How often an object is asked for at most, while S3 says that it cannot just now.
const ATTEMPTS: u32 = 3;

/// The wait before it is asked for again; longer each time.
const RETRY_WAIT: Duration = Duration::from_millis(200);

/// Longest wait for the words of an error. They are for the log alone.
const WORDS_LIMIT: Duration = Duration::from_secs(1);

/// An object of a known size.
pub(super) struct S3ObjectReader {
    object: S3Object,
    http: HttpClient,
    object_bytes: u64,
    /// Of the first answer: what follows is to be of the same object.
    tag: Option<HeaderValue>,
}

/// Why an object did not come.
enum ReadFailure {
    /// What is there is not the object.
    WrongObject(String),
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

    async fn ask(&mut self, offset: u64, len: u64) -> std::result::Result<RangeBody, ReadFailure> {
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
            headers.insert(IF_MATCH, tag.clone());
        }
        let opened = self.http.open(request).await;
        let (head, part) = opened
            .map_err(|error| ReadFailure::Request(S3Error::no_response("GetObject", &error)))?;
        match head.status {
            StatusCode::OK if is_whole => self.check_whole(&head)?,
            StatusCode::PARTIAL_CONTENT if !is_whole => self.check_range(&head, offset, len)?,
            StatusCode::OK => return Err(wrong("S3 does not heed Range")),
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
            range => Err(wrong(&format!("S3 sends {range:?} for {expected:?}"))),
        }
    }

    /// The first tag is kept; a later one is to be the same.
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
            let failure = match self.ask(offset, len).await {
                Ok(part) => return Ok(part),
                Err(ReadFailure::WrongObject(what)) => return Err(Error::internal(what)),
                Err(ReadFailure::Request(failure)) => failure,
            };
            if attempt == ATTEMPTS || !failure.is_transient() {
                return Err(failure.into_read_error());
            }
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

async fn refusal(status: StatusCode, part: RangeBody) -> ReadFailure {
    let code = timeout(WORDS_LIMIT, first_words(part)).await;
    let code = code.ok().flatten().and_then(|words| code_in(&words));
    ReadFailure::Request(S3Error::from_response("GetObject", status.as_u16(), code))
}

/// The beginning of an answer's body.
async fn first_words(part: RangeBody) -> Option<String> {
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

/// S3's code in an error of S3's.
fn code_in(words: &str) -> Option<String> {
    let (_, rest) = words.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    Some(code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found() {
        let words = "<?xml version='1.0'?>\n<Error><Code>NoSuchKey</Code><Message>x</Message>";
        assert_eq!(code_in(words).as_deref(), Some("NoSuchKey"));
        assert_eq!(code_in("<Code>"), None);
    }
}
