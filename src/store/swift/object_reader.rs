//! Reads one object, resuming where a connection broke.

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::account_client::{Session, SwiftRequest};
use super::names::object_path;
use super::swift_error::{SwiftError, read_error};
use crate::error::{Error, Result};
use crate::transfer::{RangeBody, RangeSource};

const WHAT: &str = "reading an object";

/// An object of known size. Every response must be of this size and of the first response's ETag.
pub(super) struct SwiftObjectReader {
    session: Session,
    path: String,
    /// The object's size according to the registry.
    object_bytes: u64,
    /// ETag of the first response.
    etag: Option<HeaderValue>,
}

impl SwiftObjectReader {
    pub(super) fn new(session: Session, container: &str, object: &str, object_bytes: u64) -> Self {
        Self {
            session,
            path: object_path(container, object),
            object_bytes,
            etag: None,
        }
    }

    fn request(&self, offset: u64, len: u64) -> SwiftRequest {
        let mut request = SwiftRequest::new(WHAT, Method::GET, self.path.clone());
        if !self.is_whole(offset, len) {
            let range = format!("bytes={offset}-{}", offset + len - 1);
            if let Ok(range) = HeaderValue::from_str(&range) {
                request.headers.insert(RANGE, range);
            }
        }
        if let Some(etag) = &self.etag {
            request.headers.insert(IF_MATCH, etag.clone());
        }
        request
    }

    fn is_whole(&self, offset: u64, len: u64) -> bool {
        offset == 0 && len == self.object_bytes
    }

    /// Checks that a response contains the requested range of the same object.
    fn check(
        &mut self,
        (offset, len): (u64, u64),
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<()> {
        let length = length_of(headers);
        let is_as_requested = match status {
            StatusCode::OK if self.is_whole(offset, len) => length == Some(len),
            StatusCode::PARTIAL_CONTENT => {
                let last = offset + len - 1;
                let range = format!("bytes {offset}-{last}/{}", self.object_bytes);
                length == Some(len) && text(headers, CONTENT_RANGE) == Some(range.as_str())
            }
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => false,
            StatusCode::PRECONDITION_FAILED => return Err(changed()),
            status => return Err(read_error(SwiftError::status(WHAT, status, headers))),
        };
        if !is_as_requested {
            return Err(Error::internal(format!(
                "the object does not have the {} bytes of the registry: Swift answered {status} \
                 with {length:?} bytes",
                self.object_bytes
            )));
        }
        let etag = headers.get(ETAG);
        match &self.etag {
            Some(known) if etag != Some(known) => Err(changed()),
            Some(_) => Ok(()),
            None => {
                self.etag = etag.cloned();
                Ok(())
            }
        }
    }
}

#[async_trait(?Send)]
impl RangeSource for SwiftObjectReader {
    async fn open(&mut self, offset: u64, len: u64) -> Result<RangeBody> {
        let request = self.request(offset, len);
        let (head, part) = self.session.open(&request).await.map_err(read_error)?;
        self.check((offset, len), head.status, &head.headers)?;
        Ok(part)
    }
}

fn changed() -> Error {
    Error::internal("the object was replaced while it was being read")
}

/// Returns the Content-Length.
pub(super) fn length_of(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH)?.parse().ok()
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}
