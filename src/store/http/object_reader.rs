//! Reads one object from a web server, resuming where a connection broke.
//!
//! The registry knows the object's length. Every response must be of that length, and every later
//! response must be of the same version as the first, so that a reader never receives bytes of two
//! objects.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, response};

use super::object_response::{BodyRange, ObjectVersion, body_range, unavailable};
use super::redirecting_client::RedirectingClient;
use super::response_body::BodyCut;
use crate::error::{Error, Kind, Result};
use crate::image::HttpUri;
use crate::transfer::{RangeBody, RangeSource};

/// An object on a web server.
pub(super) struct HttpObjectReader {
    client: Arc<RedirectingClient>,
    uri: HttpUri,
    /// The object's length according to the registry.
    object_bytes: u64,
    limits: DiscardLimits,
    first: Option<FirstResponse>,
}

/// Limits for servers that ignore `Range` and send the whole object.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiscardLimits {
    /// The most bytes that are read and discarded before the requested ones.
    pub(super) max_discarded_bytes: u64,
    /// The longest silence of the server meanwhile.
    pub(super) stall: Duration,
}

/// The first response, with which later ones are compared.
struct FirstResponse {
    version: Option<ObjectVersion>,
}

impl HttpObjectReader {
    pub(super) fn new(
        client: Arc<RedirectingClient>,
        uri: HttpUri,
        object_bytes: u64,
        limits: DiscardLimits,
    ) -> Self {
        Self {
            client,
            uri,
            object_bytes,
            limits,
            first: None,
        }
    }

    fn version(&self) -> Option<&ObjectVersion> {
        self.first.as_ref()?.version.as_ref()
    }

    /// Returns the headers of a request. The whole object is requested without `Range`, which works
    /// with every server.
    fn headers(&self, offset: u64, len: u64) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if (offset, len) != (0, self.object_bytes) {
            let last = offset + len - 1;
            let range = HeaderValue::try_from(format!("bytes={offset}-{last}"));
            headers.insert(RANGE, range.map_err(Error::internal)?);
            // With `If-Range` a server sends the range of the same version, or the whole new
            // object.
            if let Some(version) = self.version().and_then(ObjectVersion::as_condition) {
                headers.insert(IF_RANGE, version.clone());
            }
        }
        Ok(headers)
    }

    /// Checks that a response contains the requested bytes, and that it is of the same version of
    /// the object as the first response.
    fn check(&mut self, head: &response::Parts, offset: u64, len: u64) -> Result<BodyRange> {
        let range = body_range(head, Some(self.object_bytes))?;
        if range.total != self.object_bytes {
            return Err(Error::internal(format!(
                "the object has {} bytes where the registry has {}",
                range.total, self.object_bytes
            )));
        }
        let version = ObjectVersion::of(head);
        if let Some(first) = &self.first {
            // Without an exact version the rest could belong to another object.
            if first.version.is_none() || first.version != version {
                return Err(Error::internal(
                    "the object has changed, or the server gives no version by which to tell",
                ));
            }
        }
        // A server may send the whole object instead of the range (RFC 9110, section 14.2).
        if (range.offset, range.len) != (offset, len) && range.len != range.total {
            return Err(unavailable("the server sent another range than requested"));
        }
        self.first = Some(FirstResponse { version });
        Ok(range)
    }

    /// Returns which part of the response's body is wanted.
    fn cut(&self, range: BodyRange, offset: u64, len: u64) -> Result<BodyCut> {
        let skip = offset - range.offset;
        if skip > self.limits.max_discarded_bytes {
            return Err(Error::new(
                Kind::WholeOnly,
                "The server that holds the image's data sends no part of them.",
            ));
        }
        // A body of unstated length that is wanted to its end is read to its end, which alone shows
        // that the object is not longer.
        let is_verified_by_end = !range.is_stated && offset + len == range.total;
        Ok(BodyCut {
            skip,
            take: (!is_verified_by_end).then_some(len),
            unstated_len: (!range.is_stated).then_some(range.total),
            stall_limit: self.limits.stall,
        })
    }
}

#[async_trait(?Send)]
impl RangeSource for HttpObjectReader {
    async fn open(&mut self, offset: u64, len: u64) -> Result<RangeBody> {
        let headers = self.headers(offset, len)?;
        let response = self.client.send(&self.uri, Method::GET, &headers).await;
        let (head, body) = response?;
        let range = self.check(&head, offset, len)?;
        let cut = self.cut(range, offset, len)?;
        cut.apply(body).await.map_err(unavailable)
    }
}
