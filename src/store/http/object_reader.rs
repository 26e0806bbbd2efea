//! One object on a web server, asked for again where it was cut.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};
use http::{Method, response};

use super::counted::counted;
use super::object_response::{BodyRange, ObjectVersion, body_range, unavailable};
use super::redirecting_client::RedirectingClient;
use super::skip::skip;
use super::upto::upto;
use crate::error::{Error, Kind, Result};
use crate::image::HttpUri;
use crate::transfer::{RangeBody, RangeSource};

/// An object whose length the registry knows.
pub(super) struct HttpObjectReader {
    client: Arc<RedirectingClient>,
    uri: HttpUri,
    object_bytes: u64,
    limits: DiscardLimits,
    first: Option<FirstResponse>,
}

/// The handling of a server that ignores ranges.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiscardLimits {
    /// The most bytes that are read and discarded before those that are wanted.
    pub(super) max_discarded_bytes: u64,
    /// The longest silence meanwhile.
    pub(super) stall: Duration,
}

/// What the first answer said.
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

    /// A whole object is asked for without a range, which every server understands.
    fn headers(&self, offset: u64, len: u64) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        if (offset, len) != (0, self.object_bytes) {
            let last = offset + len - 1;
            let range = HeaderValue::try_from(format!("bytes={offset}-{last}"));
            headers.insert(RANGE, range.map_err(Error::internal)?);
            if let Some(version) = self.version().and_then(ObjectVersion::as_condition) {
                headers.insert(IF_RANGE, version.clone());
            }
        }
        Ok(headers)
    }

    /// Checks that an answer holds the bytes that were asked for, of the object as it was.
    fn check(&mut self, head: &response::Parts, offset: u64, len: u64) -> Result<BodyRange> {
        let found = body_range(head, Some(self.object_bytes))?;
        let BodyRange {
            offset: begins,
            len: holds,
            total,
            ..
        } = found;
        if total != self.object_bytes {
            return Err(Error::internal(format!(
                "the object has {total} bytes where the registry has {}",
                self.object_bytes
            )));
        }
        let version = ObjectVersion::of(head);
        if let Some(first) = &self.first {
            // Without an exact version the rest could be another object's.
            if first.version.is_none() || first.version != version {
                return Err(Error::internal(
                    "the object has changed, or the server gives no version by which to tell",
                ));
            }
        }
        // All that there is may come instead of a part of it (RFC 9110, 14.2).
        if (begins, holds) != (offset, len) && holds != total {
            return Err(unavailable("it sends another part than it was asked for"));
        }
        self.first = Some(FirstResponse { version });
        Ok(found)
    }

    /// Passes over the bytes before `offset` of a whole object.
    async fn begin_at(&self, offset: u64, part: RangeBody) -> Result<RangeBody> {
        if offset > self.limits.max_discarded_bytes {
            return Err(Error::new(
                Kind::WholeOnly,
                "The server that holds the image's data sends no part of them.",
            ));
        }
        let skipped = skip(part, offset, self.limits.stall).await;
        skipped.map_err(unavailable)
    }
}

#[async_trait(?Send)]
impl RangeSource for HttpObjectReader {
    async fn open(&mut self, offset: u64, len: u64) -> Result<RangeBody> {
        let headers = self.headers(offset, len)?;
        let asked = self.client.send(&self.uri, Method::GET, &headers).await;
        let (head, part) = asked?;
        let found = self.check(&head, offset, len)?;
        let part = match found.is_stated {
            true => part,
            false => counted(part, found.total),
        };
        let part = self.begin_at(offset - found.offset, part).await?;
        if found.is_stated || offset + len < found.total {
            return Ok(upto(part, len));
        }
        // Whether it ends there is what is counted.
        Ok(part)
    }
}
